//! Docker's words for the steps of a pull or a push.

use wharf_model::LayerState;

/// Which way the layers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Here.
    Pull,
    /// There.
    Push,
}

/// Returns a text from a registry without what a terminal would obey.
pub fn safe(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

/// Returns docker's words for a step.
pub fn words(way: Way, state: &LayerState) -> String {
    match state {
        LayerState::Preparing if way == Way::Pull => "Pulling fs layer".to_owned(),
        LayerState::Preparing => "Preparing".to_owned(),
        LayerState::Waiting => "Waiting".to_owned(),
        LayerState::Downloading { .. } => "Downloading".to_owned(),
        LayerState::Retrying { seconds: 1 } => "Retrying in 1 second".to_owned(),
        LayerState::Retrying { seconds } => format!("Retrying in {seconds} seconds"),
        LayerState::Verifying => "Verifying Checksum".to_owned(),
        LayerState::Downloaded => "Download complete".to_owned(),
        LayerState::Extracting { .. } => "Extracting".to_owned(),
        LayerState::Complete => "Pull complete".to_owned(),
        LayerState::Exists if way == Way::Pull => "Already exists".to_owned(),
        LayerState::Exists => "Layer already exists".to_owned(),
        LayerState::Uploading { .. } => "Pushing".to_owned(),
        LayerState::Pushed => "Pushed".to_owned(),
        LayerState::Mounted { from } => format!("Mounted from {}", safe(from)),
        _ => String::new(),
    }
}
