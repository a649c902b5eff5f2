//! Documents by template, for the verbs that show one: `info`, `version`, `inspect`.

use serde_json::Value as Json;
use wharf_inspect::template::{Template, TemplateError};

use crate::call::Failure;

/// How a document is printed.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    /// As JSON in one line.
    Json,
    /// By a template.
    Template(Template),
}

impl Format {
    /// Returns what `--format` asks for. `name` is what errors call the template.
    ///
    /// # Errors
    /// With docker's exit code, when it is no template.
    pub(crate) fn new(name: &str, text: &str) -> Result<Self, Failure> {
        if text == "json" {
            return Ok(Self::Json);
        }
        match Template::parse(name, text) {
            Ok(template) => Ok(Self::Template(template)),
            Err(cause) => Err(Failure::new(64, format!("template parsing error: {cause}"))),
        }
    }

    /// Returns the document as it is wanted, without a line break at its end.
    ///
    /// # Errors
    /// When the template asks for what isn't there.
    pub(crate) fn apply(&self, document: &Json) -> Result<String, TemplateError> {
        match self {
            Self::Json => Ok(wharf_inspect::typed(document).json()),
            Self::Template(template) => wharf_inspect::inspect(template, document),
        }
    }

    /// As [`Format::apply`], for a document whose fields are all known.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn apply_typed(&self, document: &Json) -> Result<String, TemplateError> {
        match self {
            Self::Json => Ok(wharf_inspect::typed(document).json()),
            Self::Template(template) => {
                template.execute(&wharf_inspect::typed(document), Default::default())
            }
        }
    }
}
