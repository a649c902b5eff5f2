//! The dashboard over the fake backend, to try keys and screens by hand:
//! `cargo run -p wharf-ui --example fake [-- many|read-only|slow|failing|panicking]`. The last panics
//! at SIGUSR1.

use std::sync::Arc;
use std::time::Duration;

use wharf_backend::fake::Fake;
use wharf_ui::{Look, Options, run};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is = |word: &str| arguments.iter().any(|a| a == word);
    let fake = if is("many") { Fake::many(100) } else { Fake::demo() };
    if is("slow") {
        fake.set_delay(Duration::from_secs(3));
    }
    if is("failing") {
        let text = "cannot do this: the engine is at the bottom of the sea, and what it was asked \
                    to do can only be done by an engine that is afloat";
        for _ in 0..9 {
            fake.fail_next(wharf_backend::Error::new(wharf_model::ErrorKind::Internal, text));
        }
    }
    if is("panicking") {
        let mut word =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::user_defined1())?;
        #[expect(clippy::panic, reason = "to see what becomes of the terminal")]
        tokio::spawn(async move {
            word.recv().await;
            panic!("as the test wants");
        });
    }
    let options = Options {
        read_only: is("read-only"),
        look: Look::from_env(|name| std::env::var(name).ok()),
        ..Options::default()
    };
    println!("ended: {:?}", run(vec![Arc::new(fake)], options).await);
    Ok(())
}
