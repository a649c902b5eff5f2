//! The form that makes a container of an image. What it would do is a command line, and that very
//! line is what is done: the form has no meaning of its own for what is typed.

use wharf_logs::sanitize_line;
use wharf_model::ImageConfig;

use super::input::Input;

/// A line of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// `--name`
    Name,
    /// What follows the image.
    Command,
    /// `-p`, any number.
    Ports,
    /// `-v`, any number.
    Volumes,
    /// `-e`, any number.
    Env,
    /// `-m`
    Memory,
    /// `--cpus`
    Cpus,
    /// `--network`
    Network,
    /// `--restart`
    Restart,
}

impl FieldKind {
    /// All of them, from top to bottom.
    pub const ALL: [Self; 9] = [
        Self::Name,
        Self::Command,
        Self::Ports,
        Self::Volumes,
        Self::Env,
        Self::Memory,
        Self::Cpus,
        Self::Network,
        Self::Restart,
    ];

    /// Returns its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Name => "Name",
            Self::Command => "Command",
            Self::Ports => "Ports",
            Self::Volumes => "Volumes",
            Self::Env => "Env",
            Self::Memory => "Memory",
            Self::Cpus => "CPUs",
            Self::Network => "Network",
            Self::Restart => "Restart",
        }
    }

    /// Returns whether it is chosen from a few instead of typed.
    pub fn is_choice(self) -> bool {
        matches!(self, Self::Network | Self::Restart)
    }

    /// Returns what can be typed in it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Name => "letters, digits, _ . -",
            Self::Command => "the words as in a shell",
            Self::Ports => "HOST:CONTAINER[/udp], several with blanks between",
            Self::Volumes => "VOLUME:/PATH or /HOST/PATH:/PATH[:ro], several with blanks",
            Self::Env => "NAME=VALUE, several with blanks; 'in quotes' with blanks inside",
            Self::Memory => "bytes, or with k, m, g: 512m",
            Self::Cpus => "how many at most: 1.5",
            Self::Network | Self::Restart => "Left and Right choose",
        }
    }
}

/// The restart policies.
const RESTARTS: [&str; 4] = ["no", "on-failure", "unless-stopped", "always"];

/// The networks that every engine has; the first is what it takes when nothing is said.
const NETWORKS: [&str; 3] = ["bridge", "host", "none"];

/// The form.
#[derive(Clone, Debug)]
pub struct RunForm {
    /// What people call the image.
    pub label: String,
    /// What names it to the engine.
    pub image: String,
    /// What is typed, in the order of [`FieldKind::ALL`]; empty for choices.
    pub inputs: Vec<Input>,
    /// The field that gets the keys.
    pub at: usize,
    /// The networks to choose from.
    pub networks: Vec<String>,
    /// The chosen one.
    pub network: usize,
    /// The chosen policy.
    pub restart: usize,
    /// What the image says, once it is known.
    pub config: Option<ImageConfig>,
    /// Why it can't be started as it is.
    pub error: Option<String>,
    /// The number of the start that is under way.
    pub starting: Option<u64>,
}

impl RunForm {
    /// Returns an empty form.
    pub fn new(label: String, image: String) -> Self {
        Self {
            label,
            image,
            inputs: vec![Input::default(); FieldKind::ALL.len()],
            at: 0,
            networks: NETWORKS.map(str::to_owned).to_vec(),
            network: 0,
            restart: 0,
            config: None,
            error: None,
            starting: None,
        }
    }

    /// Returns the field that gets the keys.
    pub fn field(&self) -> FieldKind {
        FieldKind::ALL.get(self.at).copied().unwrap_or(FieldKind::Name)
    }

    /// Returns the text that is being typed.
    pub fn input_mut(&mut self) -> Option<&mut Input> {
        let (field, at) = (self.field(), self.at);
        self.inputs.get_mut(at).filter(|_| !field.is_choice())
    }

    fn text(&self, kind: FieldKind) -> &str {
        let at = FieldKind::ALL.iter().position(|k| *k == kind);
        at.and_then(|at| self.inputs.get(at)).map_or("", |input| input.text().trim())
    }

    /// Returns what a field shows that is chosen.
    pub fn chosen(&self, kind: FieldKind) -> &str {
        match kind {
            FieldKind::Network => self.networks.get(self.network).map_or("", String::as_str),
            _ => RESTARTS.get(self.restart).copied().unwrap_or_default(),
        }
    }

    /// Goes to another field, the first after the last.
    pub fn step(&mut self, by: isize) {
        let count = FieldKind::ALL.len();
        self.at = self.at.wrapping_add_signed(by).wrapping_add(count) % count;
    }

    /// Takes the next or the previous choice of a field that has them.
    pub fn turn(&mut self, by: isize) {
        let (at, count) = match self.field() {
            FieldKind::Network => (&mut self.network, self.networks.len()),
            FieldKind::Restart => (&mut self.restart, RESTARTS.len()),
            _ => return,
        };
        *at = at.wrapping_add_signed(by).wrapping_add(count) % count.max(1);
        self.error = None;
    }

    /// Takes the engine's networks; what is chosen stays chosen.
    pub fn take_networks<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let chosen = self.chosen(FieldKind::Network).to_owned();
        let mut list = NETWORKS.map(str::to_owned).to_vec();
        list.extend(names.filter(|name| !NETWORKS.contains(name)).map(str::to_owned));
        self.network = list.iter().position(|name| *name == chosen).unwrap_or(0);
        self.networks = list;
    }

    /// Returns what stands in an empty field: what the image says, or what holds else.
    pub fn placeholder(&self, kind: FieldKind) -> String {
        let Some(config) = &self.config else {
            return match kind {
                FieldKind::Name => "made up".to_owned(),
                FieldKind::Memory | FieldKind::Cpus => "no limit".to_owned(),
                _ => String::new(),
            };
        };
        let listed = |words: Vec<&str>, none: &str| match words.is_empty() {
            true => none.to_owned(),
            false => sanitize_line(&words.join(" ")).into_owned(),
        };
        let keys = |map: &std::collections::BTreeMap<String, serde_json::Value>| {
            map.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        match kind {
            FieldKind::Name => "made up".to_owned(),
            FieldKind::Command => {
                let words = config.entrypoint.iter().chain(&config.cmd);
                let line: Vec<String> = words.map(|word| quoted(word)).collect();
                let line = line.iter().map(String::as_str).collect();
                listed(line, "the image has none: one is needed")
            }
            FieldKind::Ports if config.exposed_ports.is_empty() => "none published".to_owned(),
            FieldKind::Ports => {
                let ports = keys(&config.exposed_ports);
                format!("none published; it listens on {}", sanitize_line(&ports))
            }
            FieldKind::Volumes if config.volumes.is_empty() => "none".to_owned(),
            FieldKind::Volumes => {
                format!("a new one each for {}", sanitize_line(&keys(&config.volumes)))
            }
            // Names alone: a value may be a secret.
            FieldKind::Env => {
                let name = |entry: &'_ String| entry.split('=').next().unwrap_or_default().len();
                let names = config.env.iter().map(|entry| &entry[..name(entry)]).collect();
                match listed(names, "none") {
                    none if config.env.is_empty() => none,
                    names => format!("besides the image's {names}"),
                }
            }
            FieldKind::Memory | FieldKind::Cpus => "no limit".to_owned(),
            FieldKind::Network | FieldKind::Restart => String::new(),
        }
    }

    /// Returns the words that follow `run`.
    ///
    /// # Errors
    /// When a quote isn't closed, for people.
    pub fn words(&self) -> Result<Vec<String>, String> {
        let split = |kind: FieldKind| {
            shlex::split(self.text(kind))
                .ok_or_else(|| format!("{}: a quote isn't closed", kind.title()))
        };
        let mut words = vec!["-d".to_owned()];
        let mut flag = |name: &str, value: String| {
            words.extend([name.to_owned(), value]);
        };
        let single = |kind: FieldKind| Some(self.text(kind).to_owned()).filter(|t| !t.is_empty());
        if let Some(name) = single(FieldKind::Name) {
            flag("--name", name);
        }
        for (kind, name) in
            [(FieldKind::Ports, "-p"), (FieldKind::Volumes, "-v"), (FieldKind::Env, "-e")]
        {
            for value in split(kind)? {
                flag(name, value);
            }
        }
        if let Some(memory) = single(FieldKind::Memory) {
            flag("-m", memory);
        }
        if let Some(cpus) = single(FieldKind::Cpus) {
            flag("--cpus", cpus);
        }
        if self.network > 0 {
            flag("--network", self.chosen(FieldKind::Network).to_owned());
        }
        if self.restart > 0 {
            flag("--restart", self.chosen(FieldKind::Restart).to_owned());
        }
        words.push(self.image.clone());
        words.extend(split(FieldKind::Command)?);
        Ok(words)
    }

    /// Returns the command line that does the same, word by word as a shell takes them. `program` is
    /// what leads to this engine's verbs.
    ///
    /// # Errors
    /// As for [`RunForm::words`].
    pub fn command(&self, program: &[String]) -> Result<Vec<String>, String> {
        let verb = ["run".to_owned()];
        let words = self.words()?;
        Ok(program.iter().chain(&verb).chain(&words).map(|word| quoted(word)).collect())
    }
}

/// Returns a word as a shell takes it. Behind the first word a `=` means nothing to a shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-=+.,:/@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if word.chars().any(char::is_control) {
        return escaped(word);
    }
    // What is typed holds no zero byte, which alone can't be quoted.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

/// Returns a word with control characters in it as `$'…'`: what is shown of a name that has a line feed in
/// it would name something else without.
fn escaped(word: &str) -> String {
    let mut text = String::from("$'");
    for letter in word.chars() {
        match letter {
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\'' | '\\' => text.extend(['\\', letter]),
            _ if letter.is_control() => {
                for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                    text.push_str(&format!("\\{byte:03o}"));
                }
            }
            _ => text.push(letter),
        }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shell makes of it is what was meant.
    #[test]
    fn every_word_is_what_a_shell_makes_of_it() {
        for word in
            ["plain", "", "a b", "it's", "new\nline", "tab\t'\\\x1b[31m\u{85}é\u{7f}1", "$HOME"]
        {
            let line = format!("printf %s {}", quoted(word));
            assert!(!line.chars().any(char::is_control), "{line:?}");
            let output = std::process::Command::new("bash").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{line}");
        }
    }

    fn form(fields: &[(FieldKind, &str)]) -> RunForm {
        let mut form = RunForm::new("web".to_owned(), "web:1".to_owned());
        for (kind, text) in fields {
            form.at = FieldKind::ALL.iter().position(|k| k == kind).unwrap();
            form.input_mut().unwrap().insert(text);
        }
        form
    }

    #[test]
    fn the_line_says_what_is_typed_and_is_quoted() {
        use FieldKind::{Command, Cpus, Env, Memory, Name, Ports, Restart, Volumes};
        let mut form = form(&[
            (Name, "shop"),
            (Ports, "8080:80  53:53/udp"),
            (Volumes, "data:/data '/srv/a b:/b:ro'"),
            (Env, "A=1 'B=x y' C=\"it's\""),
            (Memory, "512m"),
            (Cpus, "1.5"),
            (Command, "sh -c 'echo $HOME; exit 3'"),
        ]);
        form.at = FieldKind::ALL.iter().position(|k| *k == Restart).unwrap();
        form.turn(-1);
        let program = vec!["wharf".to_owned()];
        let line = form.command(&program).unwrap().join(" ");
        assert_eq!(
            line,
            "wharf run -d --name shop -p 8080:80 -p 53:53/udp -v data:/data -v '/srv/a b:/b:ro' \
             -e A=1 -e 'B=x y' -e \"C=it's\" -m 512m --cpus 1.5 --restart always web:1 sh -c \
             'echo $HOME; exit 3'"
        );
        // A shell takes from it what was meant.
        let words = shlex::split(&line).unwrap();
        assert_eq!(words[2..], form.words().unwrap());
    }

    #[test]
    fn nothing_typed_asks_for_nothing() {
        let form = form(&[]);
        assert_eq!(form.words().unwrap(), ["-d", "web:1"]);
        let mut form = self::form(&[(FieldKind::Env, "A='x")]);
        assert!(form.words().unwrap_err().contains("quote"));
        form.take_networks(["pond", "host"].into_iter());
        assert_eq!(form.networks, ["bridge", "host", "none", "pond"]);
    }
}
