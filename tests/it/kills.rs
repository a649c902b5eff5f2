//! SIGKILL at random instants over every verb: nobody else is harmed, nothing is lost or left.
//!
//! A round makes a target in the state that a verb wants, starts the verb, and at a random instant
//! of the time that the verb was seen to take kills the command, the target's supervisor, or both.
//! `WHARF_KILL_SEED` repeats what a failure printed, `WHARF_KILL_ROUNDS` sets how many rounds are
//! played however long they take; by default they end after less than a minute.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::audit::{Row, Seen, agrees, is_clean, kill_supervisor, rows};
use crate::harness::{
    IMAGE, Lab, PATIENCE, Test, entry, folder, lacks_programs, rootfs_archive, run, wait_for,
};
use crate::images_kept::packed_archive;
use crate::registry::server::Registry;
use crate::tests;
use crate::verbs_image::image_archive;

pub(crate) fn tests() -> Vec<Test> {
    tests![every_verb_killed_at_any_instant]
}

/// What the target is before the verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Absent,
    Created,
    Running,
    Paused,
    Exited,
}
use Before::{Absent, Created, Exited, Paused, Running};

/// One verb: its words (`T` the target, `N` a name that is free, `A` an archive of a root filesystem,
/// `L` an image archive, `O` one of OCI form whose layer is compressed, `I` an image that nothing else uses, `R` one of a registry that isn't here,
/// `P` the name of one that goes there, `F` a file, `V` a volume with files, `E` an empty one, `M` one in
/// memory), what the target is before
/// it, and what else it may be after it.
type Line = (&'static str, Before, &'static [&'static str]);

/// Every verb. One that this binary doesn't have is passed over.
const VERBS: &[Line] = &[
    ("run --name T --network none box true", Absent, &["created", "running", "exited"]),
    ("run --rm --name T box true", Absent, &["created", "running"]),
    ("run -d --name T box sleep 1000", Absent, &["created", "running"]),
    ("run -d --rm --name T --network none box sleep 1000", Absent, &["created", "running"]),
    ("run -d --name T -m 32m --cpus 0.5 --init box sleep 1000", Absent, &["created", "running"]),
    ("create --name T box true", Absent, &["created"]),
    ("start T", Created, &["running"]),
    ("start -a T", Exited, &["running"]),
    ("start T", Exited, &["running"]),
    ("stop -t 0 T", Running, &["exited"]),
    ("stop -t 0 T", Paused, &["exited", "running"]),
    ("kill T", Running, &["exited"]),
    ("kill -s USR1 T", Running, &["exited"]),
    ("restart -t 0 T", Running, &["exited"]),
    ("restart -t 0 T", Exited, &["running"]),
    ("pause T", Running, &["paused"]),
    ("unpause T", Paused, &["running"]),
    ("rm T", Exited, &["absent"]),
    ("rm T", Created, &["absent"]),
    ("rm -f T", Running, &["exited", "absent"]),
    ("rename T N", Running, &["absent"]),
    ("rename T N", Exited, &["absent"]),
    ("exec T true", Running, &[]),
    ("exec -d T sleep 1000", Running, &[]),
    ("exec T sleep 1000", Running, &[]),
    ("logs T", Running, &[]),
    ("logs -f T", Running, &[]),
    ("wait T", Running, &[]),
    ("attach --no-stdin T", Running, &[]),
    ("stats --no-stream T", Running, &[]),
    ("stats T", Running, &[]),
    ("top T", Running, &[]),
    ("inspect T", Running, &[]),
    ("ps -a", Running, &[]),
    ("diff T", Running, &[]),
    ("port T", Running, &[]),
    ("cp F T:/tmp/copied", Running, &[]),
    ("cp F T:/tmp/copied", Exited, &[]),
    ("cp T:/bin/busybox F", Running, &[]),
    ("export -o F T", Exited, &[]),
    ("export -o F T", Running, &[]),
    ("commit T committed", Running, &["paused"]),
    ("commit T committed", Exited, &[]),
    ("update --memory-swap -1 -m 64m T", Running, &[]),
    ("update --memory-swap -1 -m 64m T", Exited, &[]),
    ("container prune -f", Exited, &["absent"]),
    ("image prune -f", Exited, &[]),
    ("system prune -f", Exited, &["absent"]),
    ("import A imported", Absent, &[]),
    ("load -i L", Absent, &[]),
    ("load -i O", Absent, &[]),
    ("save -o F box", Absent, &[]),
    ("pull R", Absent, &[]),
    ("push P", Absent, &[]),
    ("image prune -af", Absent, &[]),
    ("system df -v", Running, &[]),
    ("images", Absent, &[]),
    ("history box", Absent, &[]),
    ("tag box other:tag", Absent, &[]),
    ("rmi -f I", Absent, &[]),
    ("run --rm --name T wharf/demo true", Absent, &["created", "running"]),
    ("system check", Running, &[]),
    ("system check --repair", Running, &[]),
    ("run --rm --name T -v new:/v -v /anon -v M:/m box true", Absent, &["created", "running"]),
    ("run -d --name T -v V:/etc -v /srv -v M:/m box sleep 1000", Absent, &["created", "running"]),
    ("create --name T -v E:/etc -v /etc/x --rm box true", Absent, &["created"]),
    ("rm -fv T", Running, &["exited", "absent"]),
    ("volume create new", Absent, &[]),
    ("volume create", Absent, &[]),
    ("volume ls", Running, &[]),
    ("volume inspect V", Running, &[]),
    ("volume size", Running, &[]),
    ("volume rm V", Absent, &[]),
    ("volume prune -af", Running, &[]),
    ("volume export -o F V", Absent, &[]),
    ("volume import new A", Absent, &[]),
    ("volume import --replace V A", Absent, &[]),
    ("volume clone V new", Absent, &[]),
    ("info", Running, &[]),
    ("version", Absent, &[]),
    ("events --since 1 --until 0s", Running, &[]),
];

/// How long a verb that doesn't end by itself is given.
const ENDLESS: Duration = Duration::from_millis(60);

/// The rounds of a run that nobody gave a number, and how long it may take.
const ROUNDS: u32 = 400;
const AT_MOST: Duration = Duration::from_secs(50);

/// Splitmix64: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Command,
    Supervisor,
    Both,
}

struct Stage {
    lab: Lab,
    seen: Seen,
    archive: String,
    /// An image archive and a file, in a folder beside the root.
    folder: PathBuf,
    /// Where images are pulled from, if the program for it is installed.
    registry: Option<Registry>,
    round: u32,
}

fn every_verb_killed_at_any_instant() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("WHARF_KILL_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    });
    eprintln!("kills: WHARF_KILL_SEED={seed}");
    let rounds = number("WHARF_KILL_ROUNDS").map(|n| u32::try_from(n).unwrap());
    let mut random = Random(seed);
    let mut stage = Stage::new();
    let bystanders = stage.bystanders();
    let began = Instant::now();
    let verbs: Vec<(Line, Duration)> =
        VERBS.iter().filter_map(|line| Some((*line, stage.measure(line)?))).collect();
    eprintln!("kills: {} of {} lines, measured in {:?}", verbs.len(), VERBS.len(), began.elapsed());
    let mut played = 0;
    for round in 0..rounds.unwrap_or(ROUNDS) {
        if rounds.is_none() && began.elapsed() > AT_MOST {
            break;
        }
        let (line, duration) = verbs[random.below(verbs.len())];
        let victim = match random.below(5) {
            0..3 => Victim::Command,
            3 => Victim::Supervisor,
            _ => Victim::Both,
        };
        let micros = usize::try_from(duration.as_micros()).unwrap();
        let instant = Duration::from_micros(random.below(micros + 1).try_into().unwrap());
        let what = format!(
            "seed {seed}, round {round}: {:?} on a target {:?}, {victim:?} killed after {instant:?} of \
             {duration:?}",
            line.0, line.1
        );
        stage.play(&line, victim, instant, &what);
        assert_eq!(stage.bystanders_now(), bystanders, "{what}");
        played = round + 1;
    }
    eprintln!("kills: {played} rounds in {:?}", began.elapsed());
    stage.end();
}

impl Stage {
    fn new() -> Self {
        let lab = Lab::new();
        let archive = rootfs_archive().display().to_string();
        let folder = folder();
        let mut layer = tar::Builder::new(Vec::new());
        entry(&mut layer, "file", 0o644, tar::EntryType::Regular, &vec![b'x'; 1 << 20]);
        let layers = [layer.into_inner().unwrap()];
        std::fs::write(folder.join("image.tar"), image_archive("loaded", &layers)).unwrap();
        std::fs::write(folder.join("packed.tar"), packed_archive("packed:1").0).unwrap();
        std::fs::write(folder.join("file"), "copied").unwrap();
        let registry = lacks_programs(&["docker-registry"]).is_none().then(Registry::plain);
        if let Some(registry) = &registry {
            // Layers that don't compress, so that each has its time.
            let layers = ["a", "bc", "def"].map(|name| crate::registry::layer(name, 600_000));
            registry.put_image("pulled:1", "amd64", &layers);
            lab.ok(&["tag", IMAGE, &format!("{}/pushed:1", registry.address)]);
        }
        Self { lab, seen: Seen::default(), archive, folder, registry, round: 0 }
    }

    /// Starts the containers that no round may touch.
    fn bystanders(&self) -> Vec<(String, String, Option<i32>)> {
        let sleep = ["sleep", "100000"];
        for (name, network) in [("by-bridge", "bridge"), ("by-none", "none"), ("by-paused", "none")]
        {
            let words = ["run", "-d", "--name", name, "--network", network, IMAGE];
            self.lab.ok(&[&words[..], &sleep[..]].concat());
        }
        self.lab.ok(&["pause", "by-paused"]);
        self.bystanders_now()
    }

    fn bystanders_now(&self) -> Vec<(String, String, Option<i32>)> {
        let mut all: Vec<_> = rows(&self.lab)
            .into_iter()
            .filter(|row| row.name.starts_with("by-"))
            .map(|row| (row.name, row.status, row.pid))
            .collect();
        all.sort();
        all
    }

    fn target(&self) -> String {
        format!("t-{}", self.round)
    }

    fn row(&self) -> Option<Row> {
        let target = self.target();
        rows(&self.lab).into_iter().find(|row| row.name == target)
    }

    fn prepare(&mut self, line: &Line) {
        self.round += 1;
        let target = self.target();
        let network = if self.round.is_multiple_of(2) { "none" } else { "bridge" };
        let mut flags = vec!["--name", &target, "--network", network];
        if line.0.contains("volume") || line.0.contains("-fv") || self.round.is_multiple_of(4) {
            flags.extend(["-v", "kept:/kept", "-v", "/srv", "-v", "memory:/m"]);
        }
        flags.push(IMAGE);
        let make = |verb: &[&str], program: &[&str]| {
            self.lab.ok(&[verb, &flags, program].concat());
        };
        match line.1 {
            Absent => {}
            Created => make(&["create"], &["sleep", "1000"]),
            Running | Paused => make(&["run", "-d"], &["sleep", "1000"]),
            Exited => make(&["run"], &["true"]),
        }
        if line.1 == Paused {
            self.lab.ok(&["pause", &target]);
        }
        let words = |name: &str| line.0.split(' ').any(|w| w.split(':').next() == Some(name));
        if words("M") || flags.contains(&"memory:/m") {
            let options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "memory"];
            self.lab.ok(&[&["volume", "create"], &options[..]].concat());
        }
        if words("E") {
            self.lab.ok(&["volume", "create", "empty"]);
        }
        if words("V") {
            self.lab.ok(&["volume", "import", "full", &self.archive]);
        }
        if words("R") {
            // All of it has to come again, but for blobs that a killed pull has left.
            self.lab.run(&["rmi", "-f", &self.place("pulled:1")]);
        }
        if line.0.split(' ').any(|word| word == "I") {
            self.lab.ok(&["import", &self.archive, "victim"]);
        }
    }

    /// Returns the name of an image of the registry.
    fn place(&self, rest: &str) -> String {
        self.registry.as_ref().map_or(String::new(), |at| format!("{}/{rest}", at.address))
    }

    fn words(&self, line: &Line) -> Vec<String> {
        let target = self.target();
        line.0
            .split(' ')
            .map(|word| {
                match word {
                    "N" => format!("{target}-renamed"),
                    "A" => self.archive.clone(),
                    "L" => self.folder.join("image.tar").display().to_string(),
                    "O" => self.folder.join("packed.tar").display().to_string(),
                    "I" => "victim".to_owned(),
                    "R" => self.place("pulled:1"),
                    "P" => self.place("pushed:1"),
                    "F" => self.folder.join("file").display().to_string(),
                    "T" => target.clone(),
                    "V" => "full".to_owned(),
                    _ if word.starts_with("V:") => word.replacen('V', "full", 1),
                    _ if word.starts_with("E:") => word.replacen('E', "empty", 1),
                    _ if word.starts_with("M:") => word.replacen('M', "memory", 1),
                    // A path in the target.
                    word => match word.strip_prefix("T:") {
                        Some(path) => format!("{target}:{path}"),
                        None => word.to_owned(),
                    },
                }
            })
            .collect()
    }

    fn spawn(&self, line: &Line) -> Child {
        let words = self.words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = self.lab.command(&words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Returns how long a verb takes; none when this binary hasn't got it.
    fn measure(&mut self, line: &Line) -> Option<Duration> {
        if self.registry.is_none() && ["pull R", "push P"].contains(&line.0) {
            eprintln!("kills: no registry for {:?}", line.0);
            return None;
        }
        let words = self.words(line);
        let help: Vec<&str> = match line.0.split(' ').next()? {
            "container" | "image" | "system" | "volume" => {
                words[..2].iter().map(String::as_str).collect()
            }
            _ => vec![&words[0]],
        };
        let help = self.lab.run(&[&help[..], &["--help"]].concat());
        if help.code != 0 || !help.stdout.contains("Usage") {
            eprintln!("kills: no {:?}", line.0);
            return None;
        }
        self.prepare(line);
        let words = self.words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let began = Instant::now();
        let endless =
            ["logs -f T", "wait T", "attach --no-stdin T", "stats T", "exec T sleep 1000"];
        let time = if endless.contains(&line.0) {
            ENDLESS
        } else {
            let out = run(self.lab.command(&words), b"");
            assert_eq!(out.code, 0, "{words:?}: {}", out.stderr);
            began.elapsed()
        };
        self.clear();
        Some(time + time / 4)
    }

    fn play(&mut self, line: &Line, victim: Victim, instant: Duration, what: &str) {
        self.prepare(line);
        let before = self.row();
        let began = Instant::now();
        let mut child = self.spawn(line);
        // Shorter than the scheduler's grain: a sleep would be too long.
        while began.elapsed() < instant {
            std::hint::spin_loop();
        }
        if victim != Victim::Supervisor {
            let _ = child.kill();
        }
        let mut supervisor_killed = false;
        if victim != Victim::Command
            && let Some(row) = self.row().or(before)
        {
            supervisor_killed = kill_supervisor(&self.lab, &row.id);
        }
        if victim == Victim::Supervisor && !supervisor_killed {
            let _ = child.kill();
        }
        if supervisor_killed && line.0 == "stats T" {
            // It goes on without containers.
            let _ = child.kill();
        }
        if wait_for(&mut child, *PATIENCE).is_none() {
            panic!("{what}: the command hangs");
        }
        let out = self.lab.run(&["ps", "-a"]);
        assert_eq!(out.code, 0, "{what}: {}", out.stderr);
        // A container's end may be that of its image, too.
        let verbs = [
            "import", "load", "save", "rm", "commit", "run", "image", "system", "volume", "create",
            "pull", "push",
        ];
        if verbs.iter().any(|verb| line.0.starts_with(verb)) {
            // What a killed change of images leaves, the next change of images removes.
            self.lab.ok(&["import", &self.archive, IMAGE]);
        }
        agrees(&self.lab, &mut self.seen, what);
        let status = self.row().map_or("absent".to_owned(), |row| row.status);
        let first = match line.1 {
            Absent => "absent",
            Created => "created",
            Running => "running",
            Paused => "paused",
            Exited => "exited",
        };
        let with_supervisor = ["exited", "absent"];
        let fine = status == first
            || line.2.contains(&status.as_str())
            || supervisor_killed && with_supervisor.contains(&status.as_str())
            // The next command sees to what a half-started one with --rm was.
            || line.0.contains("run") && status == "exited";
        assert!(fine, "{what}: it is {status}");
        self.clear();
    }

    /// Removes what a round left.
    fn clear(&self) {
        for row in rows(&self.lab) {
            if !row.name.starts_with("by-") {
                let out = self.lab.run(&["rm", "-fv", &row.name]);
                let gone = out.stderr.contains("No such container");
                assert!(out.code == 0 || gone, "rm -f {}: {}", row.name, out.stderr);
            }
        }
        self.lab.ok(&["volume", "prune", "-af"]);
    }

    fn end(mut self) {
        agrees(&self.lab, &mut self.seen, "at the end");
        is_clean(&self.lab);
        for row in rows(&self.lab) {
            self.lab.ok(&["rm", "-f", &row.name]);
        }
        assert_eq!(self.lab.ok(&["ps", "-aq"]), "");
        agrees(&self.lab, &mut self.seen, "after the removal of all");
        is_clean(&self.lab);
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}
