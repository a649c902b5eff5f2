//! The dashboard's images on a terminal, over the embedded engine and over a dockerd.

use std::path::Path;

use crate::dockerd::{self, Dockerd};
use crate::harness::{IMAGE, Lab, Test, entry, eventually, folder, rootfs_tar, whole_tar};
use crate::images_kept::{on_disk, packed_archive};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![looks_into_layers, tags_saves_and_removes, runs_a_container_by_a_form];
    let lacks = dockerd::lacks().or_else(|| crate::harness::lacks_programs(&["docker"]));
    tests.push(Test::new("lists_those_of_a_dockerd", docker).needing(lacks));
    tests
}

/// An image of two layers, the upper of which adds, changes and removes files.
fn second(lab: &Lab) {
    let line = "printf 'motd \\033[2Jend' > /etc/motd; echo more >> /etc/passwd; \
                mkdir -p /srv/deep; echo x > /srv/deep/file; rm -rf /tmp";
    lab.ok(&["run", "--name", "maker", IMAGE, "sh", "-c", line]);
    lab.ok(&["commit", "-m", "by hand", "maker", "second:1"]);
    lab.ok(&["rm", "maker"]);
}

/// Waits until the list has an image: a question or a notice that names it isn't the list.
fn listed(terminal: &mut Terminal, name: &str) {
    terminal.until(&format!("{name} in the list"), |screen| {
        let text = screen.contents();
        text.lines().any(|line| line.trim_start().starts_with(&format!("{name} ")))
    });
}

fn looks_into_layers() {
    let lab = Lab::new();
    second(&lab);
    let mut terminal = Terminal::start(&lab.command(&["ui", "--read-only"]), 110, 40);
    terminal.wait_for("Containers");
    terminal.send("2");
    terminal.wait_for("second:1");
    // All of the first image is in the second one, too.
    terminal.until("shared sizes", |screen| {
        let text = screen.contents();
        let row = text.lines().find(|line| line.contains("second:1")).unwrap_or_default();
        row.split_whitespace().filter(|word| word.ends_with(['K', 'M', 'B'])).count() == 2
    });
    terminal.send("/second\rf");
    terminal.wait_for("REMOVED");
    terminal.wait_for("ADDED");
    // The upper layer: two files were added; it changed one.
    terminal.until("counts", |screen| {
        let text = screen.contents();
        let row = text.lines().find(|line| line.trim_start().starts_with("2 ")).unwrap_or_default();
        let words: Vec<&str> = row.split_whitespace().collect();
        words.get(2) == Some(&"2") && words.get(4) == Some(&"1")
    });
    terminal.send("\r");
    terminal.wait_for("layer 2  /");
    terminal.wait_for("srv/");
    terminal.send("\r");
    terminal.wait_for("layer 2  /etc");
    terminal.wait_for("was ");
    terminal.send("\r");
    terminal.wait_for("end");
    assert!(!terminal.written().contains("motd \u{1b}[2J"), "what it holds is made safe");
    // Back, step by step: the file, the folder, the layer, the list.
    terminal.send("hhhhl");
    terminal.wait_for("sh -c printf");
    terminal.send("u");
    terminal.wait_for("no container was made from second:1");
    // Nothing that changes anything is there.
    terminal.send("d");
    terminal.wait_for("this dashboard is read-only");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

/// Returns whether a file is a tar that can be read to its end and names this image.
fn is_saved(path: &Path, name: &str) -> bool {
    whole_tar(path)
        .and_then(|mut files| files.remove("manifest.json"))
        .is_some_and(|manifest| String::from_utf8_lossy(&manifest).contains(name))
}

/// Returns the bytes that a screen tells after these words: `1.2M`.
fn size_after(screen: &str, words: &str) -> f64 {
    let line = screen.lines().find(|line| line.contains(words)).expect(words);
    let text: String = line
        .split(words)
        .nth(1)
        .unwrap()
        .trim_start()
        .chars()
        .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '.')
        .collect();
    let unit = text.chars().last().filter(char::is_ascii_alphabetic);
    let number: f64 = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse().unwrap();
    let power = unit.map_or(0, |unit| "BKMG".find(unit).unwrap());
    number * 1024_f64.powi(i32::try_from(power).unwrap())
}

fn tags_saves_and_removes() {
    let lab = Lab::new();
    second(&lab);
    let names = || lab.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mut terminal = Terminal::start(&lab.command(&[]), 110, 40);
    terminal.wait_for("Containers");
    terminal.send("2");
    terminal.wait_for("second:1");
    terminal.send("/second\rt");
    terminal.wait_for("One more name for second:1");
    terminal.send("\u{15}second:2\r");
    listed(&mut terminal, "second:2");
    assert!(names().contains("second:2"));
    let file = lab.root().join("second.tar");
    terminal.send("s");
    terminal.wait_for("Save second:1 to which file?");
    terminal.send(&format!("\u{15}{}\r", file.display()));
    terminal.wait_for("Saved second:1");
    assert!(is_saved(&file, "second:1"), "it is whole once it is told");
    terminal.send("\u{1b}");
    terminal.wait_until_gone("Saved second:1");
    // One name of two is nothing but a name.
    terminal.send("d");
    terminal.wait_for("The image stays as second:2.");
    terminal.send("y");
    eventually("the name is gone", || !names().contains("second:1"));
    terminal.until("the row is gone", |screen| !screen.contents().contains("second:1 "));
    terminal.send("d");
    terminal.wait_for("1 layer that nothing else has");
    terminal.wait_for("Freed: ");
    terminal.send("\r");
    terminal.wait_until_gone("Remove image");
    assert!(names().contains("second:2"), "the default is to cancel");
    // What is freed is what the filesystem says: blobs that are kept count as well.
    let packed = lab.root().join("packed.tar");
    std::fs::write(&packed, packed_archive("packed:1").0).unwrap();
    lab.ok(&["load", "-i", &packed.display().to_string()]);
    let before = on_disk(&lab);
    // The menu says what is known when it is opened.
    let words = "all that no container uses: 3, frees ";
    let known = |screen: String| {
        let rest = screen.split_once(words).map(|(_, rest)| rest.to_owned());
        rest.is_some_and(|rest| {
            rest.trim_start().starts_with(|letter: char| letter.is_ascii_digit())
        })
    };
    while !known(terminal.text()) {
        terminal.send("P");
        terminal.wait_for("all that no container uses: ");
        if !known(terminal.text()) {
            terminal.send("\u{1b}");
            terminal.wait_until_gone("all that no container uses");
        }
    }
    let frees = size_after(&terminal.text(), words);
    terminal.send("\r");
    terminal.wait_for("Remove 3 images?");
    terminal.wait_for("second:2, ");
    terminal.send("y");
    terminal.wait_for("are free again");
    let told = size_after(&terminal.text(), "prune images: ");
    eventually("all images are gone", || names().is_empty());
    let freed = f64::from(u32::try_from(before - on_disk(&lab)).unwrap());
    for said in [frees, told] {
        // Two digits are shown; folders themselves grow and don't shrink.
        assert!((said - freed).abs() <= freed / 16.0 + 8192.0, "{said} is said, {freed} are freed");
    }
    terminal.wait_for("no image matches second");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    // What was saved is an image again.
    lab.ok(&["load", "-i", &file.display().to_string()]);
    assert_eq!(names(), "second:1");
}

fn runs_a_container_by_a_form() {
    let lab = Lab::new();
    let mut terminal = Terminal::start(&lab.command(&[]), 80, 24);
    terminal.wait_for("Containers");
    terminal.send("2");
    terminal.wait_for("box:latest");
    terminal.send("/box\rr");
    terminal.wait_for("Run box:latest");
    terminal.send("formed\tno-such-program\r");
    // The failure stays in the form, and leaves nothing behind.
    terminal.wait_for("no-such-program");
    terminal.wait_for("executable file");
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
    terminal
        .send("\u{15}sh -c 'echo \"$WORDS\"; sleep 1000'\t\tkept:/data\t'WORDS=two words'\t64m");
    terminal.wait_for("'WORDS=two words'");
    terminal.wait_for("64m");
    terminal.send("\r");
    terminal.wait_until_gone("Run box:latest");
    lab.wait_for_log("formed", "two words");
    assert_eq!(lab.inspect("formed", "/HostConfig/Memory"), 64 << 20);
    assert_eq!(lab.inspect("formed", "/Mounts/0/Name"), "kept");
    // Now it is used.
    terminal.wait_for("1 up");
    terminal.send("d");
    terminal.wait_for("formed runs from it");
    terminal.send("u");
    terminal.wait_for("CONTAINER");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn docker() {
    let dockerd = Dockerd::start();
    let docker = |arguments: &[&str], input: &[u8]| dockerd.docker(arguments, input);
    docker(&["import", "-", IMAGE], &rootfs_tar());
    let mut terminal = dockerd.dashboard(110, 40);
    terminal.wait_for("Containers");
    terminal.send("2");
    terminal.wait_for("box:latest");
    terminal.send("t");
    terminal.wait_for("One more name for box:latest");
    terminal.send("\u{15}whale:2\r");
    listed(&mut terminal, "whale:2");
    assert!(docker(&["images"], b"").contains("whale"));
    terminal.send("f");
    terminal.wait_for("this engine doesn't tell what is in a layer");
    terminal.send("hjs");
    terminal.wait_for("Save whale:2 to which file?");
    let folder = folder();
    let file = folder.join("whale.tar");
    terminal.send(&format!("\u{15}{}\r", file.display()));
    terminal.wait_for("Saved whale:2");
    assert!(is_saved(&file, "whale:2"));
    terminal.send("\u{1b}");
    terminal.wait_until_gone("Saved whale:2");
    terminal.send("d");
    terminal.wait_for("The image stays as box:latest.");
    terminal.send("y");
    eventually("it is removed", || !docker(&["images"], b"").contains("whale"));
    // What nobody uses goes by a prune: an image with a name, and one without.
    docker(&["create", "--name", "user", IMAGE, "true"], b"");
    let other = |text: &str| {
        let mut tar = tar::Builder::new(Vec::new());
        entry(&mut tar, "file", 0o644, tar::EntryType::Regular, text.repeat(100_000).as_bytes());
        tar.into_inner().unwrap()
    };
    docker(&["import", "-", "spare:1"], &other("spare"));
    docker(&["import", "-"], &other("nameless"));
    listed(&mut terminal, "spare:1");
    listed(&mut terminal, "<none>");
    terminal.send("P");
    terminal.wait_for("those without a name: 1, frees ");
    terminal.wait_for("all that no container uses: 2, frees ");
    terminal.send("j\r");
    terminal.wait_for("Remove 2 images?");
    terminal.send("y");
    terminal.wait_for("are free again");
    let names = || docker(&["images", "--format", "{{.Repository}}"], b"");
    eventually("the rest is gone", || names().trim() == IMAGE.split(':').next().unwrap());
    terminal.until("the list says so", |screen| !screen.contents().contains("spare:1"));
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    std::fs::remove_dir_all(folder).unwrap();
}
