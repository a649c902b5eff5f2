//! The fake engine's pulls and pushes: two layers, one of which is there already.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use wharf_model::{
    Digest, ErrorKind, EventKind, ImageName, LayerState, PullOptions, Pulled, PushOptions, Pushed,
    TransferEvent,
};

use super::{Fake, data, no_such};
use crate::{Error, Result, TransferStream};

const LAYERS: [&str; 2] = ["aaaaaaaaaaaa", "bbbbbbbbbbbb"];

/// The bytes of the layer that has to go or come.
const TOTAL: u64 = 3 << 20;

impl Fake {
    /// Makes the image appear at the end of the stream; each step takes the delay that was set.
    pub(super) fn pull_image(&self, options: &PullOptions) -> Result<TransferStream> {
        let (delay, failure) = self.next_transfer()?;
        let Some(name) = options.reference.name().filter(|_| !options.all_tags) else {
            let text = "the fake engine pulls single tags only";
            return Err(Error::new(ErrorKind::Unsupported, text));
        };
        let repository = options.reference.repository().path();
        let digest = Digest::from_bytes(&[0xd1; 32]);
        let mut steps = vec![
            TransferEvent::Note(format!("{}: Pulling from {repository}", name.tag())),
            layer(0, LayerState::Exists),
            layer(1, LayerState::Preparing),
            layer(1, LayerState::Downloading { done: TOTAL / 2, total: Some(TOTAL) }),
        ];
        if failure.is_none() {
            let newer = !self.has(&name);
            steps.extend([
                layer(1, LayerState::Downloaded),
                layer(1, LayerState::Extracting { done: TOTAL, total: Some(TOTAL) }),
                layer(1, LayerState::Complete),
                TransferEvent::Pulled(Pulled { selector: name.tag().to_owned(), digest }),
                TransferEvent::Ended { reference: name.to_string(), newer },
            ]);
        }
        Ok(self.played(steps, delay, failure, Some(name)))
    }

    /// Tells the steps of a push; each takes the delay that was set.
    pub(super) fn push_image(&self, options: &PushOptions) -> Result<TransferStream> {
        let (delay, failure) = self.next_transfer()?;
        let tag = options.tag.clone().unwrap_or_else(|| "latest".to_owned());
        let name = options.repository.tagged(&tag).map_err(super::invalid)?;
        if !self.has(&name) {
            return Err(no_such("image", &name.to_string()));
        }
        let mut steps = vec![
            TransferEvent::Note(format!("The push refers to repository [{}]", options.repository)),
            layer(0, LayerState::Exists),
            layer(1, LayerState::Uploading { done: TOTAL / 2, total: Some(TOTAL) }),
        ];
        if failure.is_none() {
            steps.push(layer(1, LayerState::Pushed));
            let digest = Digest::from_bytes(&[0xd1; 32]);
            steps.push(TransferEvent::Pushed(Pushed { tag, digest, size: 528 }));
        }
        Ok(self.played(steps, delay, failure, None))
    }

    fn next_transfer(&self) -> Result<(Option<Duration>, Option<Error>)> {
        let mut state = self.answering()?;
        Ok((state.delay, state.failures.pop_front()))
    }

    fn has(&self, name: &ImageName) -> bool {
        self.lock().images.iter().any(|image| image.tags.contains(name))
    }

    fn played(
        &self,
        steps: Vec<TransferEvent>,
        delay: Option<Duration>,
        failure: Option<Error>,
        made: Option<ImageName>,
    ) -> TransferStream {
        let fake = self.clone();
        let steps = steps.into_iter().map(Ok).chain(failure.map(Err));
        stream::iter(steps)
            .then(move |step: Result<TransferEvent>| {
                let (fake, made) = (fake.clone(), made.clone());
                async move {
                    if let Some(delay) = delay {
                        tokio::time::sleep(delay).await;
                    }
                    if let (Ok(TransferEvent::Ended { newer: true, .. }), Some(name)) =
                        (&step, &made)
                    {
                        fake.add_image(name);
                    }
                    step
                }
            })
            .boxed()
    }

    fn add_image(&self, name: &ImageName) {
        let image = {
            let mut state = self.lock();
            let number = u8::try_from(0x80 + state.images.len()).unwrap_or(u8::MAX);
            let image = data::image(number, &[&name.to_string()], 3, 0);
            state.images.push(image.clone());
            image
        };
        self.tell(EventKind::Image, "pull", image.id.as_str());
    }
}

fn layer(index: usize, state: LayerState) -> TransferEvent {
    TransferEvent::Layer { layer: LAYERS[index].to_owned(), state }
}
