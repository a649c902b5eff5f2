//! `demo`: the dashboard over a few containers made from the built-in image.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;

use wharf_backend::Backend;
use wharf_model::{Command, CreateOptions, ErrorKind, NetworkMode, RemoveOptions, Resources};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};
use crate::connect::{self, Left};

pub(crate) static VERB: Verb = Verb {
    name: "demo",
    paths: &[],
    usage: "[OPTIONS]",
    about: "Open the dashboard over a few demo containers",
    group: Group::Dashboard,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::switch("keep", "Leave the demo containers when the dashboard closes"),
        Flag::switch("rm", "Remove the demo containers without asking"),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    if !call.target.is_native() {
        return Err(Failure::new(
            1,
            "the demo runs on wharf's own engine: leave out --host and unset WHARF_HOST and \
             DOCKER_HOST",
        )
        .into());
    }
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::new(1, "the dashboard needs a terminal").into());
    }
    let parsed = &call.parsed;
    call.over_engine(async |backend| {
        let set = Set::new();
        set.start(&**backend).await?;
        let shown = {
            let environment = |name: &str| std::env::var(name).ok();
            let hosts = vec![(call.target.names().0, call.target.clone())];
            let backends = vec![Arc::clone(backend)];
            connect::dashboard(hosts, backends, false, None, &environment).await
        };
        // Where nobody can be asked, nothing is taken away.
        let can_ask = !matches!(shown, Ok(Left::Terminated));
        let remove = !parsed.on("keep") && (parsed.on("rm") || can_ask && set.ask()?);
        let mut failed = false;
        if remove {
            failed = !set.remove(&**backend).await;
            failed |= !connect::rest(&call.target);
        }
        shown?;
        Ok(i32::from(failed))
    })
}

/// The demonstration's containers, by name.
struct Set(Vec<(String, CreateOptions)>);

impl Set {
    fn new() -> Self {
        let named = |options: CreateOptions| (options.name.clone().unwrap_or_default(), options);
        Self(wharf_demo::demo_set().into_iter().map(named).collect())
    }

    /// Makes those that are missing and starts those that don't run.
    async fn start(&self, backend: &dyn Backend) -> anyhow::Result<()> {
        for (name, options) in &self.0 {
            match backend.container(name).await {
                Ok(found) if found.config.labels.get(LABEL) == options.labels.get(LABEL) => {
                    if found.state.status.is_alive() {
                        continue;
                    }
                }
                Ok(_) => {
                    return Err(Failure::new(
                        1,
                        format!(
                            "a container named {name} is in the way: remove it with 'wharf rm \
                             {name}'"
                        ),
                    )
                    .into());
                }
                Err(error) if error.kind == ErrorKind::NotFound => {
                    create(backend, options.clone()).await?;
                }
                Err(error) => return Err(error.into()),
            }
            let start = || backend.execute(Command::Start { container: name.clone() });
            if let Err(error) = start().await {
                if !connect::is_rootless() {
                    return Err(error.into());
                }
                // An ordinary user's host may lack what connects containers: they run alone then.
                let remove = RemoveOptions { force: true, volumes: true };
                let remove = Command::Remove { container: name.clone(), options: remove };
                backend.execute(remove).await?;
                let mut alone = options.clone();
                alone.host.network_mode = NetworkMode::None;
                create(backend, alone).await?;
                start().await?;
            }
        }
        Ok(())
    }

    /// Removes all of them; returns whether they are gone.
    async fn remove(&self, backend: &dyn Backend) -> bool {
        let options = RemoveOptions { force: true, volumes: true };
        let mut gone = true;
        for (name, _) in &self.0 {
            match backend.execute(Command::Remove { container: name.clone(), options }).await {
                Err(error) if error.kind != ErrorKind::NotFound => {
                    crate::report(&error.message);
                    gone = false;
                }
                _ => {}
            }
        }
        gone
    }

    /// Asks whether to remove them. The end of input is a yes, as is an empty line.
    fn ask(&self) -> io::Result<bool> {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        print(&format!("Remove the demo containers ({})? [Y/n] ", names.join(", ")))?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(!matches!(line.trim().to_ascii_lowercase().as_str(), "n" | "no"))
    }
}

/// The label that says that a container is one of the demonstration's.
const LABEL: &str = "com.docker.compose.project";

async fn create(backend: &dyn Backend, mut options: CreateOptions) -> wharf_backend::Result<()> {
    match backend.execute(Command::Create(Box::new(options.clone()))).await {
        // A host that can't limit still shows the rest.
        Err(error) if error.kind == ErrorKind::Unsupported => {
            options.host.resources = Resources::default();
            backend.execute(Command::Create(Box::new(options))).await
        }
        done => done,
    }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_backend::fake::Fake;

    #[tokio::test]
    async fn containers_of_others_are_left_alone() {
        let set = Set::new();
        let fake = Fake::new();
        let mut other =
            wharf_backend::fake::container(1, &set.0[0].0, "image", wharf_model::Status::Exited);
        other.labels.clear();
        fake.put(other);
        let error = set.start(&fake).await.unwrap_err().to_string();
        assert!(error.contains("is in the way"), "{error}");
        assert!(fake.commands().is_empty());
    }

    #[tokio::test]
    async fn removing_goes_on_past_what_fails() {
        let set = Set::new();
        let fake = Fake::new();
        assert!(set.remove(&fake).await, "what isn't there is gone");
        assert_eq!(fake.commands().len(), set.0.len());
    }
}
