//! A dashboard without a terminal: keys and messages go in, effects are answered from the fake
//! engine, and the screen comes out as text.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use futures_util::{FutureExt, StreamExt};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use wharf_backend::Backend;
use wharf_backend::fake::{Fake, time};
use wharf_logs::{
    Direction, Histogram, LogView, Looked, Matcher, Merged, Sanitizer, Search, Since, Step,
    StreamView, continues, fold, plain_text, unfold,
};
use wharf_model::{ContainerSummary, Filters, LogOptions};
use wharf_ui::app::Past;
use wharf_ui::app::files::FilesOf;
use wharf_ui::keymap::Key;
use wharf_ui::{App, Effect, LogAsk, LogReply, Msg, Options, Place, RawLine, ScreenTag};
use wharf_ui::{update, view};

/// The dashboard, the engine under it, and the open log.
pub(crate) struct Desk {
    /// The state.
    pub(crate) app: App,
    /// The engine, or the first of several.
    pub(crate) fake: Fake,
    /// The others.
    pub(crate) others: Vec<Fake>,
    /// What stands between the first engine and the dashboard.
    pub(crate) hostile: Option<crate::hostile::Hostile>,
    log: Option<(u64, Since)>,
    search: Option<Search>,
    only: bool,
    raw: bool,
    /// How often the links' counters were read.
    reads: u64,
}

/// Returns the key of a letter; `\n` is Enter, `\t` Tab, `\x1b` Esc, `\x1d` Ctrl-].
pub(crate) fn key(letter: &str) -> Key {
    let code = match letter {
        "\n" => KeyCode::Enter,
        "\t" => KeyCode::Tab,
        "\x1b" => KeyCode::Esc,
        "\x1d" => {
            return Key { code: KeyCode::Char(']'), modifiers: KeyModifiers::CONTROL };
        }
        other => KeyCode::Char(other.chars().next().unwrap()),
    };
    Key { code, modifiers: KeyModifiers::NONE }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the fake engine answers at once")
}

impl Desk {
    /// Returns the dashboard over one container of every kind, forty seconds on.
    pub(crate) fn new(options: Options, size: (u16, u16)) -> Self {
        Self::with(Fake::demo(), options, size)
    }

    /// Returns a dashboard that knows nothing.
    pub(crate) fn empty(options: Options, size: (u16, u16)) -> Self {
        let app = App::new(options, size, time(0));
        let (fake, others) = (Fake::demo(), Vec::new());
        let (hostile, log, search) = (None, None, None);
        Self { app, fake, others, hostile, log, search, only: false, raw: false, reads: 0 }
    }

    /// Returns the dashboard over several engines, of which nothing is heard yet.
    pub(crate) fn over(fakes: Vec<Fake>, options: Options, size: (u16, u16)) -> Self {
        let mut fakes = fakes.into_iter();
        let fake = fakes.next().unwrap();
        Self { fake, others: fakes.collect(), ..Self::empty(options, size) }
    }

    /// Sends a message of one of several engines.
    pub(crate) fn of(&mut self, host: usize, msg: Msg) -> Vec<Effect> {
        self.send(Msg::Of { host, msg: Box::new(msg) })
    }

    /// Returns the dashboard over an engine, forty seconds on.
    pub(crate) fn with(fake: Fake, options: Options, size: (u16, u16)) -> Self {
        let mut desk = Self { fake, ..Self::empty(options, size) };
        desk.send(Msg::Connected);
        for tick in 1..40 {
            desk.send(Msg::Samples(desk.fake.batch(tick)));
        }
        desk.send(Msg::Tick(time(40)));
        desk
    }

    /// Returns the engine's containers.
    pub(crate) fn list(&self) -> Vec<ContainerSummary> {
        now(self.fake.containers(true)).unwrap()
    }

    /// Sends a message without answering what it asks for.
    pub(crate) fn raw(&mut self, msg: Msg) -> Vec<Effect> {
        update(&mut self.app, msg)
    }

    /// Sends a message and answers all that it asks for, but commands. Returns what it asked for.
    pub(crate) fn send(&mut self, msg: Msg) -> Vec<Effect> {
        let effects = self.raw(msg);
        for effect in &effects {
            self.answer(effect);
        }
        effects
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: Key) -> Vec<Effect> {
        self.send(Msg::Key(KeyEvent::new(key.code, key.modifiers)))
    }

    /// Presses keys one after the other; `\x1b[D` and `\x1b[C` are the arrows left and right.
    pub(crate) fn keys(&mut self, keys: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut rest = keys;
        while let Some(letter) = rest.chars().next() {
            let arrows = [("\x1b[C", KeyCode::Right), ("\x1b[D", KeyCode::Left)];
            let arrow = arrows.iter().find(|(text, _)| rest.starts_with(text));
            let pressed = match arrow {
                Some((text, code)) => {
                    rest = &rest[text.len()..];
                    Key { code: *code, modifiers: KeyModifiers::NONE }
                }
                None => {
                    rest = &rest[letter.len_utf8()..];
                    key(letter.encode_utf8(&mut [0; 4]))
                }
            };
            effects.extend(self.press(pressed));
        }
        effects
    }

    /// Answers what was asked for.
    pub(crate) fn answer(&mut self, effect: &Effect) {
        let (host, effect) = match effect.clone() {
            Effect::At { host, effect } => (Some(host), *effect),
            effect => (None, effect),
        };
        let fake: Box<dyn Backend> = match (host, &self.hostile) {
            (Some(host), _) if host > 0 => Box::new(self.others[host - 1].clone()),
            (_, Some(hostile)) => Box::new(hostile.clone()),
            (_, None) => Box::new(self.fake.clone()),
        };
        let msg = match effect {
            Effect::FetchContainers => Msg::Containers(now(fake.containers(true))),
            Effect::FetchImages => Msg::Images(now(fake.images())),
            Effect::FetchInfo => Msg::Info(now(fake.info()).map(Box::new)),
            Effect::FetchDocument(tag) => {
                let result = match &tag {
                    ScreenTag::Container(id) => now(fake.inspect_container(id.as_str())),
                    ScreenTag::Image(image) => now(fake.inspect_image(image)),
                    ScreenTag::Network(id) => now(fake.inspect_network(id)),
                    ScreenTag::Volume(name) => now(fake.inspect_volume(name)),
                };
                Msg::Document { tag, result: result.map(Box::new) }
            }
            Effect::FetchTop(id) => {
                let result = now(fake.top(id.as_str(), &[]));
                Msg::Top { id, result }
            }
            Effect::FetchRecording { id, host_memory } => {
                let result = now(fake.recording(id.as_str()));
                let result = result.map(|found| Box::new(Past::new(found, host_memory)));
                Msg::Recorded { id, result }
            }
            Effect::FetchThen(at) => {
                let result = now(fake.moment(at));
                Msg::Then { at, result }
            }
            Effect::FetchHealth { id, ended } => {
                let result = now(wharf_ui::report(&*fake, &id, ended));
                Msg::Health { id, result }
            }
            Effect::FetchEvents => {
                let options = wharf_model::EventOptions {
                    since: Some(time(-86_400)),
                    until: Some(time(86_400)),
                    ..Default::default()
                };
                let stream = now(fake.list_events(options)).unwrap();
                let events = now(stream.collect::<Vec<_>>()).into_iter().map(Result::unwrap);
                Msg::EventHistory(Ok(events.collect()))
            }
            Effect::FetchDetails(id) => {
                let result = now(fake.details(id.as_str()));
                Msg::Details { id, result }
            }
            Effect::FetchHistory(image) => {
                let result = now(fake.history(image.as_str()));
                Msg::History { image, result }
            }
            Effect::FetchNetworks => Msg::Networks(now(fake.networks(&Filters::default()))),
            Effect::FetchLinks => {
                self.reads += 1;
                Msg::Links { at: Duration::from_secs(self.reads), result: now(fake.links()) }
            }
            Effect::TryReach(question) => {
                let result = now(fake.reach(&question));
                Msg::Reached { question, result }
            }
            Effect::FetchVolumes { sizes } => {
                let result = now(fake.volumes(&Filters::default(), sizes));
                Msg::Volumes { sizes, result }
            }
            Effect::FetchFiles { of, path } => {
                let result = match &of {
                    FilesOf::Container(id) => {
                        let result = now(fake.container_files(id.as_str(), &path));
                        self.send(Msg::Folder { of, path, result });
                        return;
                    }
                    FilesOf::Volume(volume) => now(fake.volume_files(volume, &path)),
                    FilesOf::Layer { image, layer } => now(fake.layer_files(image, *layer, &path)),
                };
                Msg::Files { of, path, result }
            }
            Effect::FetchFile { of, path } => {
                let result = match &of {
                    FilesOf::Container(id) => now(fake.container_file(id.as_str(), &path, 1 << 16)),
                    FilesOf::Volume(volume) => now(fake.volume_file(volume, &path, 1 << 16)),
                    FilesOf::Layer { image, layer } => {
                        now(fake.layer_file(image, *layer, &path, 1 << 16))
                    }
                };
                Msg::File { of, path, result }
            }
            Effect::MeasureFolders { operation, container, path, names } => {
                for name in names {
                    let folder = path.join(&name);
                    let size = now(fake.container_folder_size(container.as_str(), &folder));
                    self.send(Msg::FolderSize { operation, name: Some(name), result: size });
                }
                Msg::FolderSize { operation, name: None, result: Ok(0) }
            }
            Effect::Compare(a, b) => {
                let document = |tag: &ScreenTag| match tag {
                    ScreenTag::Container(id) => now(fake.inspect_container(id.as_str())),
                    ScreenTag::Image(image) => now(fake.inspect_image(image)),
                    other => unreachable!("{other:?} isn't compared"),
                };
                let result = document(&a)
                    .and_then(|first| document(&b).map(|second| Box::new((first, second))));
                Msg::Compared { pair: (a, b), result }
            }
            Effect::FetchImageLayers => Msg::ImageLayers(now(fake.image_layers())),
            Effect::FetchLayerChanges { image, layer } => {
                let result = now(fake.layer_changes(image.as_str(), layer));
                Msg::LayerChanges { image, layer, result }
            }
            Effect::FetchUsage => Msg::Usage(now(fake.disk_usage()).map(Box::new)),
            Effect::FetchDetail(id) => {
                let detail = now(fake.container(id.as_str())).map(Box::new);
                Msg::Detail(id, detail)
            }
            Effect::FetchImage(image) => Msg::Image(now(fake.image(&image)).map(Box::new)),
            Effect::OpenLog { generation, origins, .. } => {
                let mut views: Vec<Box<dyn LogView>> = Vec::new();
                for origin in &origins {
                    let mut log = StreamView::new(1 << 20);
                    let options = LogOptions::default();
                    if let Ok(stream) = now(fake.logs(origin.id.as_str(), options)) {
                        let records = now(stream.collect::<Vec<_>>());
                        records.into_iter().for_each(|r| log.push(r.unwrap()));
                    }
                    views.push(Box::new(log));
                }
                let view = match views.len() {
                    1 => views.remove(0),
                    _ => Box::new(Merged::new(views)),
                };
                (self.search, self.only) = (None, false);
                self.log = Some((generation, Since::all(view)));
                return;
            }
            Effect::CloseLog => {
                self.log = None;
                return;
            }
            Effect::Log(ask) => {
                let Some(reply) = self.log(ask) else { return };
                let generation = self.log.as_ref().unwrap().0;
                Msg::Log { generation, reply }
            }
            _ => return,
        };
        match host {
            Some(host) => self.of(host, msg),
            None => self.send(msg),
        };
    }

    /// Answers as the runtime's task does, from a log in memory.
    fn log(&mut self, ask: LogAsk) -> Option<LogReply> {
        let (_, view) = self.log.as_mut()?;
        let (end, start) = (view.end(), view.start());
        let (only, raw) = (self.only, self.raw);
        let search = &mut self.search;
        let mut read = |from: u64, rows: usize, direction: Direction| -> Vec<RawLine> {
            let lines = match (search.as_mut().filter(|_| only), direction) {
                (Some(search), _) => {
                    let page = search.page(view, from, direction, rows, u64::MAX).unwrap();
                    let at = page.positions.into_iter();
                    at.flat_map(|p| view.forward(p, 1).unwrap()).collect()
                }
                (None, Direction::Forward) => view.forward(from, rows).unwrap(),
                (None, Direction::Backward) => view.backward(from, rows).unwrap(),
            };
            let mut before: Option<wharf_logs::Line> = None;
            let mut safe = |line: wharf_logs::Line| {
                let folded = fold(&line.message);
                let joined = before.as_ref().is_some_and(|before| continues(before, &line));
                let shown = RawLine {
                    position: line.position,
                    next: line.next,
                    time: line.time,
                    stream: line.stream,
                    source: line.source,
                    joined,
                    folds: folded.is_some(),
                    spans: match folded.filter(|_| !raw) {
                        Some(folded) => folded.line,
                        None => Sanitizer::new().line(&line.message),
                    },
                };
                before = Some(line);
                shown
            };
            lines.into_iter().map(&mut safe).collect()
        };
        let (place, lines) = match ask {
            LogAsk::Tail { rows } => (Place::Tail, read(end, rows, Direction::Backward)),
            LogAsk::Head { rows } => (Place::Head, read(start, rows, Direction::Forward)),
            LogAsk::After { position, rows } => {
                (Place::After, read(position, rows, Direction::Forward))
            }
            LogAsk::Before { position, rows } => {
                (Place::Before, read(position, rows, Direction::Backward))
            }
            LogAsk::Around { position, rows } => {
                let mut lines = read(position, rows, Direction::Backward);
                lines.extend(read(position, rows, Direction::Forward));
                (Place::Around(position), lines)
            }
            LogAsk::Search { pattern } => {
                let matcher = Matcher::new(&pattern, wharf_logs::Case::Smart).unwrap();
                *search = (!pattern.is_empty()).then(|| Search::new(matcher));
                let progress = search.as_mut()?.advance(view, u64::MAX).unwrap();
                return Some(LogReply::Matches { count: progress.matches, complete: true });
            }
            LogAsk::Find { from, direction } => {
                let step = search.as_mut()?.step(view, from, direction, u64::MAX).unwrap();
                return Some(match step {
                    Step::Found(position) => LogReply::Found(position),
                    _ => LogReply::NotFound,
                });
            }
            LogAsk::Only(only) => {
                self.only = only;
                return None;
            }
            LogAsk::At { time, rows } => {
                let position = view.at_time(time).unwrap();
                return self.log(LogAsk::Around { position, rows });
            }
            LogAsk::Since(time) => {
                view.begin(time).unwrap();
                return None;
            }
            LogAsk::Bars { columns } => {
                let looked = Histogram::new().bars(view, search.as_mut(), columns, u64::MAX);
                let Looked::Done(bars) = looked.unwrap() else { unreachable!() };
                return Some(LogReply::Bars(bars));
            }
            LogAsk::Whole { position, .. } => {
                let line = view.forward(position, 1).unwrap().remove(0);
                let rows = unfold(&line.message)
                    .unwrap_or_else(|| vec![Sanitizer::new().line(&line.message)]);
                return Some(LogReply::Whole { position, rows });
            }
            LogAsk::Raw(raw) => {
                self.raw = raw;
                return None;
            }
            LogAsk::Copy(lines) => {
                let mut text = String::new();
                for (position, _) in &lines {
                    let line = view.forward(*position, 1).unwrap().remove(0);
                    text.push_str(&String::from_utf8_lossy(&plain_text(&line.message)));
                    text.push('\n');
                }
                return Some(LogReply::Copied { text, lines: lines.len() });
            }
            LogAsk::Follow(_) | LogAsk::Save { .. } => return None,
        };
        Some(LogReply::Lines { place, lines, at_start: true, at_end: true })
    }

    fn buffer(&self) -> Buffer {
        let (columns, rows) = self.app.size;
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| view(&self.app, frame)).unwrap();
        terminal.backend().buffer().clone()
    }

    /// Returns what is on the screen.
    pub(crate) fn screen(&self) -> String {
        let buffer = self.buffer();
        let mut text = String::new();
        for y in 0..buffer.area.height {
            let mut line = String::new();
            let mut x = 0;
            while x < buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                line.push_str(symbol);
                x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol)).unwrap().max(1);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Returns what is on the screen, and for each row where which style begins.
    pub(crate) fn styled(&self) -> String {
        let buffer = self.buffer();
        let mut text = self.screen();
        text.push('\n');
        for y in 0..buffer.area.height {
            let mut last = None;
            let mut line = String::new();
            for x in 0..buffer.area.width {
                let cell = &buffer[(x, y)];
                let style = (cell.fg, cell.bg, cell.modifier);
                if last != Some(style) {
                    line.push_str(&format!(" {x}:{}/{}", cell.fg, cell.bg));
                    if !cell.modifier.is_empty() {
                        line.push_str(&format!("/{:?}", cell.modifier));
                    }
                }
                last = Some(style);
            }
            text.push_str(&format!("{y:>2}{line}\n"));
        }
        text
    }

    /// Returns how many bytes the terminal is sent for what changes between two frames.
    pub(crate) fn cost(&mut self, change: impl FnOnce(&mut Self)) -> u64 {
        let before = self.buffer();
        change(self);
        let after = self.buffer();
        let mut bytes = Vec::new();
        wharf_ui::Encoder::default().encode(
            &before.diff(&after),
            after.area.width,
            usize::MAX,
            &mut bytes,
        );
        u64::try_from(bytes.len()).unwrap()
    }
}
