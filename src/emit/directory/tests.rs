use super::*;
use camino::Utf8PathBuf;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const ALL: Abilities = Abilities { exchange: true, link: true };

/// A bundle of these files and the `bundle.json` that lists them; a path that ends in `.sh` is executable.
fn bundle(files: &[(&str, &str)]) -> Vec<File> {
    let file = |path: &str, content: String| File { path: path.into(), content, executable: path.ends_with(".sh") };
    let listed: BTreeMap<_, _> = files.iter().map(|(path, content)| (*path, digest(content))).collect();
    let mark = serde_json::json!({ "tool": "llmdbench", "id": "x", "files": listed });
    let rest = files.iter().map(|(path, content)| file(path, (*content).to_owned()));
    rest.chain([file(MARK, mark.to_string())]).collect()
}

fn small() -> Vec<File> {
    bundle(&[("README.md", "read me\n"), ("manifests/10-a.yaml", "a: 1\n"), ("run.sh", "#!/bin/bash\n")])
}

/// Two bundles of about 200 files: some equal, some changed, some in one of them only, with folders of their own.
fn large(other: bool) -> Vec<File> {
    let mut files = Vec::new();
    for i in 0..200 {
        let (path, content) = match (i % 5, other) {
            (0 | 1, _) => (format!("same/{:02}/{i}.yaml", i / 20), format!("same {i}\n")),
            (2, false) => (format!("first/{:02}/{i}.yaml", i / 50), format!("first {i}\n").repeat(50)),
            (2, true) => (format!("second/deep/{i}.sh"), format!("second {i}\n")),
            (_, false) => (format!("changed/{i}.yaml"), format!("one {i}\n").repeat(20)),
            (_, true) => (format!("changed/{i}.yaml"), format!("two {i}\n").repeat(30)),
        };
        files.push((path, content));
    }
    bundle(&files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect::<Vec<_>>())
}

/// An empty place to work in, and the path of a directory `out` in it that does not exist.
fn place() -> (tempfile::TempDir, Utf8PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let out = Utf8PathBuf::from_path_buf(temp.path().canonicalize().unwrap()).unwrap().join("out");
    (temp, out)
}

/// What is at a path, as far as a user can tell.
#[derive(Debug, PartialEq, Eq)]
enum Thing {
    Folder(u32),
    File(u32, Vec<u8>),
    Link(PathBuf),
}

/// Everything below a directory, read without the code under test.
fn things(dir: &Utf8Path) -> BTreeMap<String, Thing> {
    fn add(dir: &Path, prefix: &str, into: &mut BTreeMap<String, Thing>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            let data = entry.metadata().unwrap();
            let mode = data.mode() & 0o7777;
            let thing = if data.is_dir() {
                add(&entry.path(), &format!("{path}/"), into);
                Thing::Folder(mode)
            } else if data.is_symlink() {
                Thing::Link(fs::read_link(entry.path()).unwrap())
            } else {
                Thing::File(mode, fs::read(entry.path()).unwrap())
            };
            into.insert(path, thing);
        }
    }
    let mut all = BTreeMap::new();
    add(dir.as_std_path(), "", &mut all);
    all
}

/// What a directory must hold that holds a bundle and nothing else.
fn expected(files: &[File]) -> BTreeMap<String, Thing> {
    let mut all = BTreeMap::new();
    for file in files {
        for folder in file.path.ancestors().skip(1).filter(|folder| !folder.as_str().is_empty()) {
            all.insert(folder.to_string(), Thing::Folder(0o755));
        }
        let mode = if file.executable { 0o755 } else { 0o644 };
        all.insert(file.path.to_string(), Thing::File(mode, file.content.clone().into_bytes()));
    }
    all
}

#[track_caller]
fn assert_holds(dir: &Utf8Path, files: &[File]) {
    assert_eq!(things(dir), expected(files));
}

/// Nothing but the directory itself, and what the test made, is beside it.
#[track_caller]
fn assert_alone(dir: &Utf8Path, others: &[&str]) {
    let mut names: Vec<_> =
        fs::read_dir(dir.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut want: Vec<_> = others.to_vec();
    want.sort_unstable();
    assert_eq!(names, want);
}

/// Inode, mtime and ctime of everything, the directory and its parent included: equal when nothing was touched.
fn stamps(dir: &Utf8Path) -> Vec<(String, u64, i64, i64, i64, i64)> {
    let mut all = Vec::new();
    let inner = things(dir).into_keys().map(|path| dir.join(path));
    for path in inner.chain([dir.to_owned(), dir.parent().unwrap().to_owned()]) {
        let m = fs::symlink_metadata(&path).unwrap();
        all.push((path.into_string(), m.ino(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()));
    }
    all
}

/// Makes mtimes old, so that a new one shows.
fn age(path: impl AsRef<Path>) -> SystemTime {
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    fs::File::open(path).unwrap().set_modified(then).unwrap();
    then
}

fn modified(path: impl AsRef<Path>) -> SystemTime {
    fs::symlink_metadata(path).unwrap().modified().unwrap()
}

#[track_caller]
fn refused(dir: &Utf8Path, files: &[File]) -> Diagnostic {
    write(dir, files).expect_err("the write must be refused")
}

#[test]
fn new_directory_is_created_with_its_parents() {
    let (_temp, out) = place();
    let out = out.join("deep/er");
    let report = write(&out, &small()).unwrap();
    assert_eq!(report, Report { written: 4, unchanged: 0, removed: 0 });
    assert_holds(&out, &small());
    assert_alone(&out, &["er"]);
    for path in [&out, out.parent().unwrap()] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o755, "{path}");
    }
}

#[test]
fn empty_directory_is_taken_and_keeps_its_mode() {
    let (_temp, out) = place();
    fs::create_dir(&out).unwrap();
    fs::set_permissions(&out, Permissions::from_mode(0o2750)).unwrap();
    write(&out, &small()).unwrap();
    assert_holds(&out, &small());
    assert_eq!(fs::metadata(&out).unwrap().mode() & 0o7777, 0o2750);
    assert_alone(&out, &["out"]);
}

#[test]
fn unchanged_bundle_touches_nothing() {
    let (_temp, out) = place();
    write(&out, &small()).unwrap();
    fs::write(out.join("notes.md"), "mine").unwrap();
    let before = stamps(&out);
    std::thread::sleep(Duration::from_millis(20));
    let report = write(&out, &small()).unwrap();
    assert_eq!(report, Report { written: 0, unchanged: 4, removed: 0 });
    assert_eq!(stamps(&out), before);
}

#[test]
fn one_changed_file_leaves_the_mtimes_of_the_others() {
    for link in [true, false] {
        let (_temp, out) = place();
        write(&out, &small()).unwrap();
        let then = age(out.join("run.sh"));
        age(out.join("README.md"));
        let files = bundle(&[("README.md", "new\n"), ("manifests/10-a.yaml", "a: 1\n"), ("run.sh", "#!/bin/bash\n")]);
        let report = write_with(&out, &files, Abilities { link, ..ALL }).unwrap();
        assert_eq!(report, Report { written: 2, unchanged: 2, removed: 0 });
        assert_holds(&out, &files);
        assert_eq!(modified(out.join("run.sh")), then);
        assert_ne!(modified(out.join("README.md")), then);
    }
}

#[test]
fn executable_bit_alone_is_a_change() {
    let (_temp, out) = place();
    write(&out, &small()).unwrap();
    let mut files = small();
    for file in &mut files {
        file.executable = false;
    }
    let report = write(&out, &files).unwrap();
    assert_eq!(report, Report { written: 1, unchanged: 3, removed: 0 });
    assert_holds(&out, &files);
}

#[test]
fn what_the_bundle_lacks_is_removed_with_its_empty_folders() {
    let (_temp, out) = place();
    write(&out, &bundle(&[("a", "a"), ("x/y/z", "z"), ("x/y/foreign/w", "w"), ("p/q", "q")])).unwrap();
    fs::write(out.join("x/y/foreign/mine"), "mine").unwrap();
    let files = bundle(&[("a", "a")]);
    let report = write(&out, &files).unwrap();
    assert_eq!(report, Report { written: 1, unchanged: 1, removed: 3 });
    let mut want = expected(&files);
    want.insert("x".into(), Thing::Folder(0o755));
    want.insert("x/y".into(), Thing::Folder(0o755));
    want.insert("x/y/foreign".into(), Thing::Folder(0o755));
    want.insert("x/y/foreign/mine".into(), Thing::File(0o644, b"mine".to_vec()));
    assert_eq!(things(&out), want);
}

#[test]
fn file_becomes_folder_and_folder_becomes_file() {
    let (_temp, out) = place();
    write(&out, &bundle(&[("a", "a"), ("b/c", "c")])).unwrap();
    let files = bundle(&[("a/c", "c"), ("b", "b")]);
    write(&out, &files).unwrap();
    assert_holds(&out, &files);
}

#[test]
fn edited_and_deleted_bundle_files_are_the_bundles() {
    let (_temp, out) = place();
    write(&out, &bundle(&[("a", "a"), ("b", "b"), ("c", "c"), ("d", "d")])).unwrap();
    fs::write(out.join("a"), "edited").unwrap();
    fs::write(out.join("b"), "edited").unwrap();
    fs::remove_file(out.join("c")).unwrap();
    fs::remove_file(out.join("d")).unwrap();
    symlink("/etc/hostname", out.join("d")).unwrap();
    let files = bundle(&[("a", "a"), ("c", "c"), ("d", "d")]);
    let report = write(&out, &files).unwrap();
    assert_eq!(report, Report { written: 4, unchanged: 0, removed: 1 });
    assert_holds(&out, &files);
}

/// Things of a user's own in a bundle's directory.
fn put_foreign(out: &Utf8Path) -> BTreeMap<String, Thing> {
    fs::write(out.join("notes.md"), "mine").unwrap();
    fs::set_permissions(out.join("notes.md"), Permissions::from_mode(0o600)).unwrap();
    fs::create_dir_all(out.join(".git/objects/ab")).unwrap();
    fs::write(out.join(".git/objects/ab/cdef"), [0, 159, 146, 150]).unwrap();
    fs::set_permissions(out.join(".git/objects/ab/cdef"), Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(out.join(".git/objects/ab"), Permissions::from_mode(0o555)).unwrap();
    fs::create_dir_all(out.join("empty")).unwrap();
    symlink("notes.md", out.join("link")).unwrap();
    symlink("/nowhere/at/all", out.join(".git/dangling")).unwrap();
    let foreign = ["notes.md", ".git", "empty", "link"];
    things(out).into_iter().filter(|(path, _)| foreign.contains(&path.split('/').next().unwrap())).collect()
}

#[test]
fn foreign_things_are_kept_as_they_are() {
    for link in [true, false] {
        let (_temp, out) = place();
        write(&out, &bundle(&[("a", "a"), ("m/b", "b")])).unwrap();
        let foreign = put_foreign(&out);
        assert_eq!(foreign.len(), 8, "{foreign:?}");
        fs::write(out.join("m/mine"), "mine").unwrap();
        let times = ["notes.md", ".git", ".git/objects", ".git/objects/ab/cdef", "empty", ".git/objects/ab"];
        let then = times.map(|path| age(out.join(path)));
        let files = bundle(&[("a", "A"), ("m/c", "c")]);
        let report = write_with(&out, &files, Abilities { link, ..ALL }).unwrap();
        assert_eq!(report, Report { written: 3, unchanged: 0, removed: 1 });
        let mut want = expected(&files);
        want.extend(foreign);
        want.insert("m/mine".into(), Thing::File(0o644, b"mine".to_vec()));
        assert_eq!(things(&out), want);
        assert_eq!(times.map(|path| modified(out.join(path))), then);
        assert_alone(&out, &["out"]);
    }
}

#[test]
fn foreign_thing_where_the_bundle_writes_is_refused_by_name() {
    type Put = fn(&Utf8Path);
    let cases: [(&str, Put); 6] = [
        ("new", |out| fs::write(out.join("new"), "c").unwrap()),
        ("new", |out| fs::create_dir(out.join("new")).unwrap()),
        ("new", |out| symlink("a", out.join("new")).unwrap()),
        ("d", |out| fs::write(out.join("d"), "in the place of a folder").unwrap()),
        ("d", |out| symlink("/tmp", out.join("d")).unwrap()),
        ("gone/mine", |out| fs::write(out.join("gone/mine"), "in a folder that becomes a file").unwrap()),
    ];
    for (name, put) in cases {
        let (_temp, out) = place();
        write(&out, &bundle(&[("a", "a"), ("gone/b", "b")])).unwrap();
        put(&out);
        let before = stamps(&out);
        let error = refused(&out, &bundle(&[("a", "A"), ("new", "c"), ("d/e", "e"), ("gone", "g")]));
        let Problem::Unwritable { path, reason } = &error.problem else { panic!("{error:?}") };
        assert_eq!(*path, out.join(name));
        assert!(reason.contains("not written by a bundle"), "{reason}");
        assert_eq!(stamps(&out), before);
        assert_alone(&out, &["out"]);
    }
}

#[test]
fn directory_that_is_not_ours_is_refused() {
    type Put = fn(&Utf8Path);
    let cases: [Put; 6] = [
        |out| fs::write(out.join("thesis.tex"), "mine").unwrap(),
        |out| fs::write(out.join(MARK), "{").unwrap(),
        |out| fs::write(out.join(MARK), r#"{"tool": "other", "files": {}}"#).unwrap(),
        |out| fs::write(out.join(MARK), r#"{"tool": "llmdbench"}"#).unwrap(),
        |out| fs::create_dir(out.join(MARK)).unwrap(),
        |out| symlink("/dev/null", out.join(MARK)).unwrap(),
    ];
    for put in cases {
        let (_temp, out) = place();
        fs::create_dir(&out).unwrap();
        put(&out);
        let before = stamps(&out);
        let error = refused(&out, &small());
        assert_eq!(error.problem, Problem::ForeignDirectory { path: out.to_string() });
        assert!(error.hint.is_some());
        assert_eq!(stamps(&out), before);
    }
}

#[test]
fn list_of_an_old_bundle_reaches_nothing_outside() {
    let (_temp, out) = place();
    fs::create_dir(&out).unwrap();
    fs::write(out.parent().unwrap().join("victim"), "mine").unwrap();
    let mark = r#"{"tool": "llmdbench", "files": {"../victim": "sha256:0", "/etc/hostname": "sha256:0"}}"#;
    fs::write(out.join(MARK), mark).unwrap();
    write(&out, &small()).unwrap();
    assert_holds(&out, &small());
    assert_alone(&out, &["out", "victim"]);
    assert!(Path::new("/etc/hostname").exists());
}

#[test]
fn path_that_is_no_directory_is_refused() {
    let (_temp, out) = place();
    let file = out.with_file_name("file");
    fs::write(&file, "mine").unwrap();
    symlink("file", out.with_file_name("to-file")).unwrap();
    symlink("nowhere", out.with_file_name("dangling")).unwrap();
    symlink("loop", out.with_file_name("loop")).unwrap();
    for name in ["file", "to-file", "dangling", "loop"] {
        let error = refused(&out.with_file_name(name), &small());
        let Problem::Unwritable { path, .. } = &error.problem else { panic!("{error:?}") };
        assert_eq!(*path, out.with_file_name(name));
    }
    assert!(matches!(refused(&file.join("below"), &small()).problem, Problem::Unreadable { .. }));
    assert!(matches!(refused(Utf8Path::new(""), &small()).problem, Problem::Unwritable { .. }));
    assert!(matches!(refused(Utf8Path::new("/"), &small()).problem, Problem::Unwritable { .. }));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert_alone(&out, &["file", "to-file", "dangling", "loop"]);
}

#[test]
fn symbolic_link_leads_to_the_directory() {
    let (_temp, out) = place();
    fs::create_dir_all(out.with_file_name("far/real")).unwrap();
    symlink("far/real", &out).unwrap();
    for files in [small(), bundle(&[("b", "b")])] {
        write(&out, &files).unwrap();
        assert_eq!(fs::read_link(&out).unwrap(), Path::new("far/real"));
        assert_holds(&out, &files);
        assert_alone(&out.with_file_name("far/real"), &["real"]);
        assert_alone(&out, &["far", "out"]);
    }
}

#[test]
fn bad_bundles_are_defects_of_ours() {
    let (_temp, out) = place();
    let bad_paths = ["/abs", "../up", "a/../b", "", "./a", "a//b", "a/", ".", "nul\0"];
    let mut bad: Vec<Vec<File>> = bad_paths.map(|path| bundle(&[(path, "x")])).into();
    bad.push(bundle(&[("a", "x"), ("a/b", "y")]));
    bad.push([small(), vec![small().remove(0)]].concat());
    bad.push(small().into_iter().filter(|file| file.path != MARK).collect());
    bad.push(small().into_iter().filter(|file| file.path != "run.sh").collect());
    bad.push(small());
    bad.last_mut().unwrap()[0].content.push('!');
    for files in bad {
        let error = refused(&out, &files);
        assert!(matches!(error.problem, Problem::Internal { .. }), "{error:?}");
    }
    assert_alone(&out, &[]);
}

#[test]
fn error_while_building_leaves_everything_as_it_was() {
    let (_temp, out) = place();
    let long = "n".repeat(300);
    let error = refused(&out.join("new/parents"), &bundle(&[("a", "a"), (&long, "no file system takes this name")]));
    assert!(matches!(&error.problem, Problem::Unwritable { path, .. } if path.contains(&long)), "{error:?}");
    assert_alone(&out, &[]);
    write(&out, &small()).unwrap();
    let before = things(&out);
    refused(&out, &bundle(&[("a", "a"), (&long, "")]));
    assert_eq!(things(&out), before);
    assert_alone(&out, &["out"]);
}

#[test]
fn siblings_of_an_interrupted_call_are_cleared_and_those_of_a_user_are_not() {
    let (_temp, out) = place();
    let (stage, parked) = (out.with_file_name(".out.llmdbench-new"), out.with_file_name(".out.llmdbench-old"));
    write(&out, &small()).unwrap();

    fs::create_dir(&stage).unwrap();
    write(&out, &small()).unwrap();
    assert_alone(&out, &["out"]);

    fs::create_dir_all(stage.join("tree/half/built")).unwrap();
    fs::write(stage.join(STAGE_MARK), "").unwrap();
    fs::set_permissions(stage.join("tree/half"), Permissions::from_mode(0o000)).unwrap();
    write(&out, &small()).unwrap();
    assert_alone(&out, &["out"]);

    type Put = fn(&Utf8Path);
    let users: [Put; 3] = [
        |path| fs::write(path, "mine").unwrap(),
        |path| symlink("/tmp", path).unwrap(),
        |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("mine"), "mine").unwrap();
        },
    ];
    for put in users {
        for path in [&stage, &parked] {
            put(path);
            let error = refused(&out, &bundle(&[("b", "b")]));
            assert!(matches!(&error.problem, Problem::Unwritable { path: p, .. } if p == path), "{error:?}");
            assert_alone(&out, &["out", path.file_name().unwrap()]);
            assert_holds(&out, &small());
            fs::remove_file(path).or_else(|_| fs::remove_dir_all(path)).unwrap();
        }
    }
}

#[test]
fn parked_directory_comes_back_or_goes() {
    for through_link in [false, true] {
        let (_temp, out) = place();
        let given = if through_link { out.with_file_name("link") } else { out.clone() };
        let names: &[&str] = if through_link { &["link", "out"] } else { &["out"] };
        let (stage, parked) = (out.with_file_name(".out.llmdbench-new"), out.with_file_name(".out.llmdbench-old"));
        if through_link {
            symlink("out", &given).unwrap();
        }
        write(&out, &small()).unwrap();
        fs::write(out.join("notes.md"), "mine").unwrap();

        // Killed between the renames: there is no directory, and its successor waits.
        fs::rename(&out, &parked).unwrap();
        fs::create_dir_all(stage.join("tree")).unwrap();
        fs::write(stage.join(STAGE_MARK), "").unwrap();
        assert_eq!(write(&given, &small()).unwrap(), Report { written: 0, unchanged: 4, removed: 0 });
        assert_eq!(fs::read_to_string(out.join("notes.md")).unwrap(), "mine");
        assert_alone(&out, names);

        // Killed after them: the old directory is left over.
        fs::create_dir_all(&stage).unwrap();
        fs::write(stage.join(STAGE_MARK), "").unwrap();
        fs::create_dir(&parked).unwrap();
        for file in small() {
            fs::create_dir_all(parked.join(&file.path).parent().unwrap()).unwrap();
            fs::write(parked.join(&file.path), file.content).unwrap();
        }
        write(&given, &small()).unwrap();
        assert_alone(&out, names);

        // Killed between them, and the user made a directory meanwhile: neither can be given up.
        fs::rename(&out, &parked).unwrap();
        fs::create_dir(&out).unwrap();
        let error = refused(&given, &small());
        assert!(matches!(&error.problem, Problem::Unwritable { path, .. } if *path == parked), "{error:?}");
        assert_eq!(fs::read_to_string(parked.join("notes.md")).unwrap(), "mine");
    }
}

#[test]
fn file_system_that_cannot_exchange_is_written_all_the_same() {
    let (_temp, out) = place();
    let can = Abilities { exchange: false, link: true };
    write_with(&out, &bundle(&[("a", "a"), ("m/b", "b")]), can).unwrap();
    let foreign = put_foreign(&out);
    let before = fs::metadata(&out).unwrap().ino();
    let files = bundle(&[("a", "A"), ("m/c", "c")]);
    write_with(&out, &files, can).unwrap();
    let mut want = expected(&files);
    want.extend(foreign);
    assert_eq!(things(&out), want);
    assert_ne!(fs::metadata(&out).unwrap().ino(), before);
    assert_alone(&out, &["out"]);
}

#[test]
fn what_others_put_there_meanwhile_is_rescued() {
    let (_temp, out) = place();
    write(&out, &small()).unwrap();
    put_foreign(&out);
    let before = Tree::read(out.as_std_path()).unwrap();
    let owned = before.owned().unwrap();

    // `out` becomes the new tree, as a build makes it; `old` the one that is taken away.
    let old = out.with_file_name("old");
    fs::rename(&out, &old).unwrap();
    write(&out, &bundle(&[("README.md", "new\n")])).unwrap();
    fs::hard_link(old.join("notes.md"), out.join("notes.md")).unwrap();
    let mut want = things(&out);

    // Meanwhile: a file and a folder appear, a foreign file is saved anew, a file of the bundle as well.
    fs::write(old.join("manifests/late"), "late").unwrap();
    fs::create_dir(old.join("folder")).unwrap();
    fs::write(old.join("folder/inner"), "late").unwrap();
    for name in ["notes.md", "README.md"] {
        fs::write(old.join("save"), "saved anew").unwrap();
        fs::rename(old.join("save"), old.join(name)).unwrap();
    }
    rescue(old.as_std_path(), &before, &owned).unwrap();

    let late = |text: &[u8]| Thing::File(0o644, text.to_vec());
    want.insert("manifests".into(), Thing::Folder(0o755));
    want.insert("manifests/late".into(), late(b"late"));
    want.insert("folder".into(), Thing::Folder(0o755));
    want.insert("folder/inner".into(), late(b"late"));
    want.insert("notes.md".into(), late(b"saved anew"));
    assert_eq!(things(&out), want);

    // What cannot be brought over stays, and the error names it.
    fs::write(out.join("twice"), "new").unwrap();
    fs::write(old.join("twice"), "late").unwrap();
    let error = rescue(old.as_std_path(), &before, &owned).unwrap_err();
    assert!(text(&error).contains("twice"), "{error:?}");
    assert_eq!(fs::read_to_string(old.join("twice")).unwrap(), "late");
}

/// A diagnostic in one line.
fn text(error: &Diagnostic) -> String {
    format!("{} {}", error.problem, error.hint.as_deref().unwrap_or_default())
}

/// Runs [`child`] in a process of its own, in the role given, on `out`.
fn spawn(role: &str, out: &Utf8Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "emit::directory::tests::child", "--nocapture", "--test-threads=1"]);
    command.env("EMIT_TEST_ROLE", role).env("EMIT_TEST_OUT", out.as_str());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// What a process of its own does for the tests below; nothing when it is run as a test.
#[test]
fn child() {
    let Ok(role) = std::env::var("EMIT_TEST_ROLE") else { return };
    let out = Utf8PathBuf::from(std::env::var("EMIT_TEST_OUT").unwrap());
    let can = Abilities { exchange: role != "writer without exchange", link: true };
    let bundles = [large(false), large(true)];
    match role.as_str() {
        "umask" => {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
            write(&out.join("parent/out"), &small()).unwrap();
        }
        "read-only" => {
            let error = refused(&out, &bundle(&[("b", "b")]));
            println!("\nrefused: {}", text(&error));
            assert_eq!(write(&out, &small()).unwrap(), Report { written: 0, unchanged: 4, removed: 0 });
        }
        "rounds" => {
            for round in 0..30 {
                write(&out, &bundles[round % 2]).unwrap();
            }
        }
        _ => {
            println!("\nwriting");
            let start = Instant::now();
            // Much longer than any kill takes, and not for ever, should the test have gone.
            for round in (0..).take_while(|_| start.elapsed() < Duration::from_secs(60)) {
                write_with(&out, &bundles[round % 2], can).unwrap();
            }
        }
    }
}

#[test]
fn umask_does_not_matter() {
    let (_temp, out) = place();
    fs::create_dir(&out).unwrap();
    assert!(spawn("umask", &out).status().unwrap().success());
    assert_holds(&out.join("parent/out"), &small());
    for path in ["parent", "parent/out"] {
        assert_eq!(fs::metadata(out.join(path)).unwrap().mode() & 0o7777, 0o755, "{path}");
    }
}

#[test]
fn read_only_parent_is_an_error_that_changes_nothing() {
    let (temp, out) = place();
    let out = out.join("parent/out");
    write(&out, &small()).unwrap();
    let mut command = spawn("read-only", &out);
    if rustix::process::geteuid().is_root() {
        // Permissions do not bind the superuser, so somebody else has to try, with a program that they can run.
        let program = out.parent().unwrap().with_file_name("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        fs::set_permissions(temp.path(), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        for path in things(&out).into_keys().map(|path| out.join(path)).chain([out.clone()]) {
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
        }
        let role = command;
        command = Command::new(program);
        command.args(role.get_args());
        command.envs(role.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdout(Stdio::piped()).uid(65534).gid(65534).current_dir("/");
    }
    fs::set_permissions(out.parent().unwrap(), Permissions::from_mode(0o555)).unwrap();
    let before = stamps(&out);
    let output = command.output().unwrap();
    fs::set_permissions(out.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let refusal = text.lines().find(|line| line.starts_with("refused: ")).unwrap();
    assert!(refusal.contains("parent/.out.llmdbench-new`: Permission denied"), "{refusal}");
    assert!(refusal.contains("parent must be writable"), "{refusal}");
    assert_holds(&out, &small());
    let inner = |stamps: Vec<(String, u64, i64, i64, i64, i64)>| {
        stamps.into_iter().filter(|stamp| stamp.0.starts_with(out.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(inner(stamps(&out)), inner(before));
    assert_alone(&out, &["out"]);
}

/// Waits until a writing child is past its start.
fn wait_for_writes(child: &mut Child) {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "writing"), "the child ended early");
}

/// A wait of random length, below the given one.
fn random_wait(limit: Duration) {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let share = RandomState::new().build_hasher().finish() % 1000;
    std::thread::sleep(limit * u32::try_from(share).unwrap() / 1000);
}

/// Kills writers at random moments and looks at what each leaves. Returns how often the directory was missing, and
/// how often a kill came in the middle of a write.
fn kill_writers(role: &str, times: usize) -> (usize, usize) {
    let (_temp, out) = place();
    let can = Abilities { exchange: role == "writer", link: true };
    let bundles = [large(false), large(true)];
    let start = Instant::now();
    write(&out, &bundles[0]).unwrap();
    let foreign = put_foreign(&out);
    write(&out, &bundles[1]).unwrap();
    let limit = start.elapsed() * 2;
    let wants = bundles.each_ref().map(|files| {
        let mut want = expected(files);
        want.extend(foreign.iter().map(|(path, thing)| {
            let copy = match thing {
                Thing::Folder(mode) => Thing::Folder(*mode),
                Thing::File(mode, content) => Thing::File(*mode, content.clone()),
                Thing::Link(target) => Thing::Link(target.clone()),
            };
            (path.clone(), copy)
        }));
        want
    });
    let (mut missing, mut amid) = (0, 0);
    for round in 0..times {
        let mut child = spawn(role, &out).spawn().unwrap();
        wait_for_writes(&mut child);
        random_wait(limit);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9), "the child must be killed, not fail");
        amid += usize::from(out.with_file_name(".out.llmdbench-new").exists());
        if out.exists() {
            let found = things(&out);
            assert!(wants.contains(&found), "round {round}: neither of the bundles: {:?}", found.keys());
        } else {
            missing += 1;
            let found = things(&out.with_file_name(".out.llmdbench-old"));
            assert!(wants.contains(&found), "round {round}: neither of the bundles is parked");
        }
        write_with(&out, &bundles[round % 2], can).unwrap();
        assert_eq!(things(&out), wants[round % 2], "round {round}");
        assert_alone(&out, &["out"]);
    }
    (missing, amid)
}

#[test]
fn killed_at_any_moment_one_whole_bundle_is_there() {
    let (missing, amid) = kill_writers("writer", 100);
    assert_eq!(missing, 0);
    assert!(amid >= 20, "only {amid} of 100 kills came in the middle of a write: this tests nothing");
}

#[test]
fn killed_without_exchange_the_next_write_restores() {
    let (_, amid) = kill_writers("writer without exchange", 30);
    assert!(amid >= 6, "only {amid} of 30 kills came in the middle of a write: this tests nothing");
}

#[test]
fn two_writers_wait_for_each_other_and_the_directory_is_always_there() {
    let (_temp, out) = place();
    let bundles = [large(false), large(true)];
    write(&out, &bundles[0]).unwrap();
    let mut children = [0, 1].map(|_| spawn("rounds", &out).spawn().unwrap());
    let mut looks = 0;
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        assert!(out.is_dir(), "missing at look {looks}");
        looks += 1;
    }
    assert!(looks > 100, "only {looks} looks");
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let found = things(&out);
    assert!(bundles.iter().any(|files| expected(files) == found));
    assert_alone(&out, &["out"]);
}
