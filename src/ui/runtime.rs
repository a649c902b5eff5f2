//! The part that touches the world: reads the terminal, talks to the backend, keeps time, and
//! draws. Everything it learns becomes a [`Msg`] on one channel, but for samples: these wait in a
//! place of one, where a newer batch takes the place of one that nobody has fetched.

mod audit;
mod budget;
pub(crate) mod health;
mod input;
mod logs;
mod run;
mod save;
mod shell;
mod state;
mod terminals;
mod transfer;
mod watch;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use wharf_backend::Backend;
use wharf_model::Filters;

use crate::app::files::{FilesOf, HEAD};
use crate::app::{self, App, Past, Redraw};
use crate::message::{Effect, Msg, ScreenTag};
use crate::options::Options;
use crate::terminal::{For, Screen};
use crate::update::{start, update};
use audit::Audit;
use budget::Budget;
use input::{Heard, Input};
use logs::LogJob;
use terminals::Terminals;
use watch::{Samples, Tag};

/// Answers that may wait before those who send them have to.
const QUEUE: usize = 256;

/// Messages taken in before the next frame at the latest.
const BURST: usize = 256;

/// The time between frames while something turns.
const TURN: Duration = Duration::from_millis(120);

/// How long no key is pressed until it rests.
const REST: Duration = Duration::from_secs(5);

/// Linux's number of the signal that the terminal's suspend character sends.
const SIGTSTP: i32 = 20;

/// Linux's number of the signal that lets a stopped process go on.
const SIGCONT: i32 = 18;

/// Why the dashboard ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The user left.
    Quit,
    /// The terminal is gone, or somebody asked us to end (SIGHUP, SIGTERM, SIGINT, SIGQUIT).
    Terminated,
}

/// Why the dashboard can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard input or output is something else.
    #[error("the dashboard needs a terminal: standard input and output must be one")]
    NotATerminal,
    /// The terminal can't be read or written.
    #[error("terminal: {0}")]
    Terminal(#[from] std::io::Error),
}

/// Shows the dashboard over these backends, which are those of [`Options::hosts`], until the user leaves.
///
/// The terminal is taken at once and the first frame drawn before the backend is asked anything.
/// On every way out, panics included, the terminal is given back.
///
/// # Errors
/// When standard input or output isn't a terminal, or can't be used as one.
pub async fn run(backends: Vec<Arc<dyn Backend>>, options: Options) -> Result<Exit, Error> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Error::NotATerminal);
    }
    // Before the terminal is ours, so that no signal ends us while it is.
    let signals = Signals::new()?;
    let screen = Screen::take(options.mouse)?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let interval = options.interval;
    let (terminals, mut output) = Terminals::new();
    let mut app = App::new(options, screen.size(), Utc::now());
    if let Some(folder) = app.options.state.clone() {
        state::load(&folder).restore(&mut app);
    }
    if let Some(complaint) = app.options.complaint.take() {
        app.fail("config", complaint);
    }
    let mut runtime = Runtime {
        budget: Budget::new(app.options.byte_budget),
        screen,
        input: Input::new()?,
        suspending: false,
        backends,
        watches: Vec::new(),
        interval,
        samples: Arc::default(),
        sender,
        log: None,
        begun: Instant::now(),
        works: HashMap::new(),
        terminals,
        audit: app.options.state.clone().map(Audit::new),
    };
    runtime.draw(&mut app)?;
    for host in 0..runtime.backends.len() {
        runtime.watch(host, true);
    }
    let samples = Arc::clone(&runtime.samples);
    let result = runtime.work(&mut app, signals, (receiver, &mut output), &samples).await;
    runtime.watches.clear();
    runtime.settle().await;
    if matches!(result, Ok(Exit::Quit)) {
        let audit = &mut runtime.audit;
        let heard = |msg: &Msg| {
            // There is nobody left to be told that it can't be written.
            let _ = audit.as_mut().map(|audit| audit.hears(msg));
        };
        runtime.terminals.end(output, heard).await;
    }
    if let Some(mut audit) = runtime.audit.take() {
        let _ = audit.ends();
    }
    if let Some(folder) = &app.options.state {
        // A layout that can't be kept is no reason to fail at the end.
        let _ = state::store(folder, &app::Saved::of(&app));
    }
    result
}

struct Signals {
    end: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
    stop: Signal,
    resume: Signal,
    /// The terminal has another size.
    size: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            end: signal(SignalKind::terminate())?,
            // The keys of these are ours; they come from elsewhere.
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            stop: signal(SignalKind::from_raw(SIGTSTP))?,
            resume: signal(SignalKind::from_raw(SIGCONT))?,
            size: signal(SignalKind::window_change())?,
        })
    }
}

struct Runtime {
    screen: Screen,
    input: Input,
    /// The user wants to be back in his shell for a while.
    suspending: bool,
    /// The engines; at least one.
    backends: Vec<Arc<dyn Backend>>,
    /// What listens to each of them.
    watches: Vec<Watch>,
    interval: Duration,
    samples: Arc<Samples>,
    sender: mpsc::Sender<Msg>,
    log: Option<LogJob>,
    budget: Budget,
    /// When this began: the clock of the links' counters.
    begun: Instant,
    /// What can be given up, by its number.
    works: HashMap<u64, AbortHandle>,
    /// What is behind the terminals.
    terminals: Terminals,
    /// Where changes are written down; none keeps nothing.
    audit: Option<Audit>,
}

/// What listens to one engine; dropping it ends that.
#[derive(Default)]
struct Watch {
    tasks: JoinSet<()>,
    /// Told when the engine has answered which containers there are.
    listed: Arc<Notify>,
}

impl Runtime {
    async fn work(
        &mut self,
        app: &mut App,
        mut signals: Signals,
        (mut receiver, output): (mpsc::Receiver<Msg>, &mut mpsc::Receiver<Msg>),
        samples: &Samples,
    ) -> Result<Exit, Error> {
        let mut next_tick = Instant::now();
        let rest = app.options.rest;
        let mut rest_at = rest.map(|_| Instant::now() + REST);
        let effects = start(app);
        if self.perform_all(app, effects)?.is_break() {
            return Ok(Exit::Quit);
        }
        loop {
            if std::mem::take(&mut self.suspending) {
                self.suspend(app).await?;
            }
            let mut draw_at = self.due(app);
            if draw_at.is_some_and(|when| when <= Instant::now()) {
                self.draw(app)?;
                draw_at = self.due(app);
            }
            let blocked = self.screen.is_blocked();
            let msg = tokio::select! {
                biased;
                _ = signals.end.recv() => return Ok(Exit::Terminated),
                _ = signals.interrupt.recv() => return Ok(Exit::Terminated),
                _ = signals.quit.recv() => return Ok(Exit::Terminated),
                _ = signals.hang_up.recv() => return Ok(Exit::Terminated),
                _ = signals.stop.recv() => {
                    self.suspend(app).await?;
                    continue;
                }
                _ = signals.resume.recv() => {
                    self.screen.resume()?;
                    app.draw(Redraw::Now);
                    continue;
                }
                _ = signals.size.recv() => {
                    let (columns, rows) = self.screen.size();
                    Some(Msg::Resize(columns, rows))
                }
                heard = self.input.next() => match heard {
                    Some(heard) => self.hear(heard),
                    // The terminal is gone.
                    None => return Ok(Exit::Terminated),
                }
                .inspect(|_| rest_at = rest.map(|_| Instant::now() + REST)),
                done = self.screen.drained(), if blocked => {
                    done?;
                    continue;
                }
                Some(msg) = receiver.recv() => Some(msg),
                (host, batch) = samples.take() => {
                    Some(self.tag(host).message(Msg::Samples(batch)))
                }
                () = tokio::time::sleep_until(next_tick) => {
                    let wait = if app.is_animated() { TURN } else { until_next_second() };
                    next_tick = Instant::now() + wait;
                    Some(Msg::Tick(Utc::now()))
                }
                // After all others, a piece at a time: what floods a terminal holds nothing up.
                Some(msg) = output.recv() => {
                    if self.take(app, msg)?.is_break() {
                        return Ok(Exit::Quit);
                    }
                    continue;
                }
                () = sleep(draw_at), if draw_at.is_some() => continue,
                () = sleep(rest_at), if rest_at.is_some() => {
                    rest_at = None;
                    rest.inspect(|rest| rest());
                    continue;
                }
            };
            let Some(msg) = msg else { continue };
            if app.is_animated() {
                next_tick = next_tick.min(Instant::now() + TURN);
            }
            if self.take(app, msg)?.is_break() {
                return Ok(Exit::Quit);
            }
            // What else is there already belongs into the same frame.
            for _ in 0..BURST {
                let msg = match self.input.ready() {
                    Ok(heard) => self.hear(heard),
                    Err(mpsc::error::TryRecvError::Disconnected) => return Ok(Exit::Terminated),
                    Err(mpsc::error::TryRecvError::Empty) => match receiver.try_recv() {
                        Ok(msg) => Some(msg),
                        Err(_) => break,
                    },
                };
                if let Some(msg) = msg
                    && self.take(app, msg)?.is_break()
                {
                    return Ok(Exit::Quit);
                }
            }
        }
    }

    fn draw(&mut self, app: &mut App) -> Result<(), Error> {
        // The terminal may have changed size before its message came.
        let (columns, rows) = self.screen.size();
        if app.size != (columns, rows) {
            let effects = update(app, Msg::Resize(columns, rows));
            // A new size asks for data at most, never for the end.
            let _ = self.perform_all(app, effects)?;
        }
        let what = purpose(app.redraw).max(self.screen.behind().unwrap_or(For::Numbers));
        let bytes = self.screen.draw(app, what)?;
        self.budget.spent(bytes);
        app.redraw = Redraw::No;
        Ok(())
    }

    /// Returns when the next frame is due, or the rest of the last one, if one is.
    fn due(&mut self, app: &App) -> Option<Instant> {
        if self.screen.is_blocked() {
            return None;
        }
        let behind = self.screen.behind();
        let when = if behind.is_some() { Some(Instant::now()) } else { None };
        let when = when.or_else(|| self.budget.due(app.redraw))?;
        let what = purpose(app.redraw).max(behind.unwrap_or(For::Numbers));
        if self.screen.has_room(what) { Some(when) } else { self.screen.free_at() }
    }

    /// Takes in what the terminal said, and returns it if it was the user.
    fn hear(&mut self, heard: Heard) -> Option<Msg> {
        match heard {
            Heard::User(msg) => Some(*msg),
            Heard::Answer => {
                self.screen.answered();
                None
            }
        }
    }

    /// Gives the terminal back to the shell until that lets us go on.
    async fn suspend(&mut self, app: &mut App) -> Result<(), Error> {
        self.settle().await;
        if self.screen.suspend()? {
            app.size = self.screen.size();
        } else {
            app.tell("there is no shell to come back from");
        }
        app.draw(Redraw::Now);
        Ok(())
    }

    /// Waits a moment for what the terminal is about to answer: whoever has it next would take that
    /// for keys.
    async fn settle(&mut self) {
        let begun = Instant::now();
        while let Some(patience) = self.screen.patience() {
            let until = begun + patience;
            match tokio::time::timeout_at(until, self.input.next()).await {
                Ok(Some(heard)) => {
                    let _ = self.hear(heard);
                }
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn take(&mut self, app: &mut App, msg: Msg) -> Result<ControlFlow<()>, Error> {
        let heard = self.audit.as_mut().map_or(Ok(()), |audit| audit.hears(&msg));
        let mut effects = update(app, msg);
        effects.extend(unaudited(app, heard));
        self.perform_all(app, effects)
    }

    fn perform_all(
        &mut self,
        app: &mut App,
        effects: Vec<Effect>,
    ) -> Result<ControlFlow<()>, Error> {
        for effect in effects {
            if self.perform(app, effect)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Does what the state wants done. What takes time is done aside and comes back as a message.
    fn perform(&mut self, app: &mut App, effect: Effect) -> Result<ControlFlow<()>, Error> {
        if let (Some(audit), Some(operation)) = (&mut self.audit, effect.operation())
            && let Some(deed) = app::deed(app, &effect)
        {
            let begun = audit.begins(operation, deed);
            // It asks for nothing.
            let _ = unaudited(app, begun);
        }
        let (host, effect) = match effect {
            Effect::At { host, effect } => (host, *effect),
            effect => (0, effect),
        };
        let Some(backend) = self.backends.get(host).cloned() else {
            return Ok(ControlFlow::Continue(()));
        };
        match effect {
            // It is wrapped once.
            Effect::At { .. } => {}
            Effect::Watch(on) => self.watch(host, on),
            Effect::Quit => return Ok(ControlFlow::Break(())),
            Effect::Suspend => {
                self.suspending = true;
            }
            Effect::Repaint => {
                self.screen.repaint();
                app.draw(Redraw::Now);
            }
            Effect::Mouse(mouse) => self.screen.set_mouse(mouse)?,
            Effect::Copy(text) => self.screen.copy(&text)?,
            Effect::FetchContainers => {
                let listed = self.watches.get(host).map(|watch| Arc::clone(&watch.listed));
                self.ask(host, async move {
                    let list = backend.containers(true).await;
                    listed.inspect(|listed| listed.notify_one());
                    Msg::Containers(list)
                });
            }
            Effect::FetchImages => {
                self.ask(host, async move { Msg::Images(backend.images().await) });
            }
            Effect::FetchInfo => {
                self.ask(host, async move { Msg::Info(backend.info().await.map(Box::new)) });
            }
            Effect::FetchDocument(tag) => self.ask(host, async move {
                let result = fetch(&*backend, &tag).await.map(Box::new);
                Msg::Document { tag, result }
            }),
            Effect::FetchRecording { id, host_memory } => self.ask(host, async move {
                let result = backend.recording(id.as_str()).await;
                let result = result.map(|found| Box::new(Past::new(found, host_memory)));
                Msg::Recorded { id, result }
            }),
            Effect::FetchThen(at) => self.ask(host, async move {
                let result = backend.moment(at).await;
                Msg::Then { at, result }
            }),
            Effect::FetchHealth { id, ended } => self.ask(host, async move {
                let result = health::report(&*backend, &id, ended).await;
                Msg::Health { id, result }
            }),
            Effect::FetchEvents => {
                self.ask(
                    host,
                    async move { Msg::EventHistory(watch::remembered(&*backend).await) },
                );
            }
            Effect::FetchDetails(id) => self.ask(host, async move {
                let result = backend.details(id.as_str()).await;
                Msg::Details { id, result }
            }),
            Effect::FetchTop(id) => self.ask(host, async move {
                let result = backend.top(id.as_str(), &[]).await;
                Msg::Top { id, result }
            }),
            Effect::FetchHistory(image) => self.ask(host, async move {
                let result = backend.history(image.as_str()).await;
                Msg::History { image, result }
            }),
            Effect::FetchNetworks => {
                self.ask(host, async move {
                    Msg::Networks(backend.networks(&Filters::default()).await)
                });
            }
            Effect::FetchLinks => {
                let clock = self.begun;
                self.ask(host, async move {
                    let result = backend.links().await;
                    Msg::Links { at: clock.elapsed(), result }
                });
            }
            Effect::TryReach(question) => self.ask(host, async move {
                let result = backend.reach(&question).await;
                Msg::Reached { question, result }
            }),
            Effect::FetchVolumes { sizes } => self.ask(host, async move {
                let result = backend.volumes(&Filters::default(), sizes).await;
                Msg::Volumes { sizes, result }
            }),
            Effect::FetchFiles { of, path } => self.ask(host, async move {
                let result = match &of {
                    FilesOf::Container(id) => {
                        let result = backend.container_files(id.as_str(), &path).await;
                        return Msg::Folder { of, path, result };
                    }
                    FilesOf::Volume(volume) => backend.volume_files(volume, &path).await,
                    FilesOf::Layer { image, layer } => {
                        backend.layer_files(image, *layer, &path).await
                    }
                };
                Msg::Files { of, path, result }
            }),
            Effect::FetchFile { of, path } => self.ask(host, async move {
                let result = match &of {
                    FilesOf::Container(id) => {
                        let file = backend.container_file(id.as_str(), &path, HEAD).await;
                        // A link may lead to a folder.
                        if file.is_err()
                            && let Ok(list) = backend.container_files(id.as_str(), &path).await
                        {
                            return Msg::Folder { of, path, result: Ok(list) };
                        }
                        file
                    }
                    FilesOf::Volume(volume) => backend.volume_file(volume, &path, HEAD).await,
                    FilesOf::Layer { image, layer } => {
                        backend.layer_file(image, *layer, &path, HEAD).await
                    }
                };
                Msg::File { of, path, result }
            }),
            Effect::MeasureFolders { operation, container, path, names } => {
                let sender = self.sender.clone();
                self.begin(host, operation, async move {
                    for name in names {
                        let folder = path.join(&name);
                        let size = backend.container_folder_size(container.as_str(), &folder);
                        let (name, result) = (Some(name), size.await);
                        let _ = sender.send(Msg::FolderSize { operation, name, result }).await;
                    }
                    Msg::FolderSize { operation, name: None, result: Ok(0) }
                });
            }
            Effect::CopyFiles { operation, request } => {
                if let Some(copy) = app.options.copy {
                    self.ask(host, async move {
                        let result = copy(backend, request).await;
                        Msg::FilesCopied { operation, result }
                    });
                }
            }
            Effect::Compare(first, second) => {
                let other = app.host_of_tag(&second);
                let other = self.backends.get(other).unwrap_or(&backend).clone();
                self.ask(host, async move {
                    let result = match fetch(&*backend, &first).await {
                        Ok(a) => fetch(&*other, &second).await.map(|b| Box::new((a, b))),
                        Err(error) => Err(error),
                    };
                    Msg::Compared { pair: (first, second), result }
                });
            }
            Effect::SaveVolume { operation, volume, path } => {
                let sender = self.sender.clone();
                self.ask(host, async move {
                    let stream = backend.volume_export(&volume, false);
                    let result = save::save(stream, &path, operation, &sender).await;
                    Msg::Saved { operation, result }
                });
            }
            Effect::FetchImageLayers => {
                self.ask(host, async move { Msg::ImageLayers(backend.image_layers().await) });
            }
            Effect::FetchLayerChanges { image, layer } => self.ask(host, async move {
                let result = backend.layer_changes(image.as_str(), layer).await;
                Msg::LayerChanges { image, layer, result }
            }),
            Effect::FetchImage(image) => {
                self.ask(
                    host,
                    async move { Msg::Image(backend.image(&image).await.map(Box::new)) },
                );
            }
            Effect::Pull { operation, options } => {
                let sender = self.sender.clone();
                self.begin(host, operation, async move {
                    let stream = backend.pull(options).await;
                    transfer::follow(stream, operation, &sender).await
                });
            }
            Effect::Push { operation, options } => {
                let sender = self.sender.clone();
                self.begin(host, operation, async move {
                    let stream = backend.push(options).await;
                    transfer::follow(stream, operation, &sender).await
                });
            }
            Effect::SaveImages { operation, images, path } => {
                let sender = self.sender.clone();
                self.begin(host, operation, async move {
                    let stream = backend.save(&images, None);
                    let result = save::save(stream, &path, operation, &sender).await;
                    Msg::Saved { operation, result }
                });
            }
            Effect::Abort(operation) => {
                let told = self.audit.as_mut().map_or(Ok(()), |audit| audit.given_up(operation));
                let _ = unaudited(app, told);
                if let Some(work) = self.works.remove(&operation) {
                    work.abort();
                }
            }
            Effect::Run { operation, words } => {
                let parser = app.options.run;
                self.ask(host, async move {
                    let result = run::run(&*backend, parser, &words).await;
                    Msg::Ran { operation, result }
                });
            }
            Effect::Execute { operation, command } => self.ask(host, async move {
                let result = backend.execute(command).await;
                Msg::Done { operation, result }
            }),
            Effect::FetchUsage => {
                self.ask(host, async move { Msg::Usage(backend.disk_usage().await.map(Box::new)) });
            }
            Effect::FetchDetail(id) => {
                self.ask(host, async move {
                    let result = backend.container(id.as_str()).await;
                    Msg::Detail(id, result.map(Box::new))
                });
            }
            Effect::Shell { operation, line, .. } => self.ask(host, async move {
                Msg::ShellEnded { operation, result: shell::run(&line).await }
            }),
            Effect::OpenTerminal { number, container, want, size } => {
                let look = app.options.look;
                self.terminals.open(backend, number, (container, want), (size, look));
            }
            Effect::Terminal { number, ask } => {
                if !self.terminals.ask(number, ask) {
                    app.tell("the program doesn't read what is typed: it was dropped");
                }
            }
            Effect::OpenLog { generation, origins, .. } => {
                let of = |host: usize| self.backends.get(host).unwrap_or(&backend).clone();
                let backends = origins.iter().map(|origin| of(origin.host)).collect();
                self.log = Some(LogJob::open(backends, origins, generation, self.sender.clone()));
            }
            Effect::CloseLog => self.log = None,
            Effect::Log(ask) => {
                if let Some(log) = &self.log {
                    log.ask(ask);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Begins what may take long, and can be given up: then it ends where it is, and nothing is told.
    fn begin(
        &mut self,
        host: usize,
        operation: u64,
        work: impl Future<Output = Msg> + Send + 'static,
    ) {
        let (sender, tag) = (self.sender.clone(), self.tag(host));
        self.works.retain(|_, work| !work.is_finished());
        let task = tokio::spawn(async move {
            // Nobody listens any more when the dashboard has ended.
            let _ = sender.send(tag.message(work.await)).await;
        });
        self.works.insert(operation, task.abort_handle());
    }

    /// Listens to an engine from now on, or no more.
    fn watch(&mut self, host: usize, on: bool) {
        if self.watches.len() <= host {
            self.watches.resize_with(host + 1, Watch::default);
        }
        let mut tasks = JoinSet::new();
        if on && let Some(backend) = self.backends.get(host).cloned() {
            let (tag, sender) = (self.tag(host), self.sender.clone());
            tasks.spawn(watch::events(backend.clone(), tag, sender));
            let listed = Arc::clone(&self.watches[host].listed);
            let (samples, interval) = (Arc::clone(&self.samples), self.interval);
            tasks.spawn(async move {
                // An engine that is asked everything at once answers each thing later, and what is
                // looked for first is the list.
                listed.notified().await;
                watch::samples(backend, host, interval, samples).await;
            });
        }
        self.watches[host].tasks = tasks;
    }

    /// Returns what marks the messages of an engine.
    fn tag(&self, host: usize) -> Tag {
        Tag((self.backends.len() > 1).then_some(host))
    }

    fn ask(&self, host: usize, question: impl Future<Output = Msg> + Send + 'static) {
        let (sender, tag) = (self.sender.clone(), self.tag(host));
        tokio::spawn(async move {
            // Nobody listens any more when the dashboard has ended.
            let _ = sender.send(tag.message(question.await)).await;
        });
    }
}

async fn fetch(backend: &dyn Backend, tag: &ScreenTag) -> wharf_backend::Result<serde_json::Value> {
    match tag {
        ScreenTag::Container(id) => backend.inspect_container(id.as_str()).await,
        ScreenTag::Image(image) => backend.inspect_image(image).await,
        ScreenTag::Network(network) => backend.inspect_network(network).await,
        ScreenTag::Volume(volume) => backend.inspect_volume(volume).await,
    }
}

/// Tells that something couldn't be written down. What was asked for is done all the same: the file
/// may be on a disk that the user is about to make room on.
fn unaudited(app: &mut App, written: std::io::Result<()>) -> Vec<Effect> {
    match written {
        Ok(()) => Vec::new(),
        Err(cause) => update(app, Msg::Unaudited(cause.to_string())),
    }
}

async fn sleep(until: Option<Instant>) {
    if let Some(until) = until {
        tokio::time::sleep_until(until).await;
    }
}

/// Returns the time until the wall clock's second changes.
fn until_next_second() -> Duration {
    let passed = Utc::now().timestamp_subsec_millis() % 1000;
    Duration::from_millis(u64::from(1000 - passed) + 5)
}

/// Returns whom a frame is for.
fn purpose(redraw: Redraw) -> For {
    if redraw >= Redraw::Quick { For::User } else { For::Numbers }
}
