//! What machine an image is for. An engine here keeps one image under a name, for one machine, so that
//! whoever names another machine is told of it instead of getting something else.

use wharf_model::ErrorKind;
use wharf_registry::Platform;

use crate::{Backend, Error, Result};

/// Refuses an image that isn't for the machine that the user named, `os[/arch[/variant]]`.
///
/// # Errors
/// When it is for another one (docker's sentence), there is no such image, or no such machine.
pub async fn check_platform(backend: &dyn Backend, image: &str, wanted: &str) -> Result<()> {
    let wanted = Platform::parse(wanted)?;
    let detail = backend.image(image).await?;
    fits(&image, &wanted, &stated(detail.os, detail.architecture))
}

/// Returns the platform that an image's configuration states; what it leaves out is this machine's.
pub(crate) fn stated(os: String, architecture: String) -> Platform {
    let or = |text: String, this: String| if text.is_empty() { this } else { text };
    let this = Platform::this();
    let (os, architecture) = (or(os, this.os), or(architecture, this.architecture));
    Platform { os, architecture, ..Platform::default() }
}

/// Refuses an image for another machine than the one that is wanted.
pub(crate) fn fits(
    reference: &impl std::fmt::Display,
    wanted: &Platform,
    stated: &Platform,
) -> Result<()> {
    if wanted.takes(stated) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotFound,
        format!(
            "image with reference {reference} was found but does not match the specified platform: \
             wanted {wanted}, actual: {stated}"
        ),
    ))
}
