//! Writes a bundle to a directory: all of it, or nothing.
//!
//! The new tree is built beside the directory, in `.<name>.llmdbench-new/tree`, and takes its place in one step, so
//! that an interruption at any moment leaves the old tree or the new one, whole. What the next call finds of an
//! interrupted one, it clears away. Nothing here knows what the files of a bundle mean, except `bundle.json`, whose
//! `files` say which files of the directory are the bundle's and may be replaced or removed.
//!
//! Two things follow from replacing the directory as a whole: its parent must be writable, and a process whose
//! current directory it was stands in the old, removed one. Extended attributes of folders are not carried over.

use crate::bundle::File;
use crate::error::{Diagnostic, Problem};
use crate::plan::names::digest;
use camino::{Utf8Component, Utf8Path};
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, RenameFlags, accessat, flock, renameat_with};
use rustix::io::Errno;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file that marks a directory as ours and lists the others.
pub const MARK: &str = "bundle.json";

/// The file that marks a half-built tree as ours. Empty, so that creating it is one step.
const STAGE_MARK: &str = "made-by-llmdbench";

/// What a call of [`write()`] changed, in files; `bundle.json` counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that are new or differ from what was there.
    pub written: usize,
    /// Files that were there already, with this content; their mtime stays.
    pub unchanged: usize,
    /// Files that an earlier bundle wrote and this one does not hold.
    pub removed: usize,
}

/// Replaces the bundle in `dir` by `files`, atomically; where nothing differs, nothing is touched.
///
/// `dir` may be missing (it is created, with its parents), empty, a bundle of ours, or a symbolic link to one of
/// these. Files in it that no bundle wrote are kept. Files that an earlier bundle wrote belong to the bundle: edits
/// are overwritten. Calls for directories of one parent wait for each other, where the file system can lock a
/// directory.
///
/// Where the file system cannot exchange two directories, the old one is first renamed to `.<name>.llmdbench-old`:
/// between two renames there is no `dir`, and after an interruption in that instant the next call brings it back.
///
/// # Errors
///
/// The directory is as it was, and nothing is left beside it, when the directory is not ours
/// ([`Problem::ForeignDirectory`]), something foreign is in the way or cannot be carried over, or the operating
/// system refuses ([`Problem::Unwritable`], [`Problem::Unreadable`]). [`Problem::Internal`] when `files` are no
/// bundle: a bad path, or a `bundle.json` that does not list exactly the other files. Only where the old tree cannot
/// be removed, the new one is in place already; the error says so.
pub fn write(dir: &Utf8Path, files: &[File]) -> Result<Report, Diagnostic> {
    write_with(dir, files, Abilities { exchange: true, link: true })
}

/// What a file system can do; tests take abilities away, [`write()`] finds out by trying.
#[derive(Debug, Clone, Copy)]
struct Abilities {
    exchange: bool,
    link: bool,
}

fn write_with(dir: &Utf8Path, files: &[File], can: Abilities) -> Result<Report, Diagnostic> {
    let bundle = Bundle::new(files)?;
    let place = Place::find(dir)?;
    let result = place.lock().and_then(|_lock| place.replace(&bundle, can));
    if result.is_err() {
        remove_empty(&place.created);
    }
    result
}

/// What `bundle.json` must hold for this module; the rest of it is not its business.
#[derive(Deserialize)]
struct Mark {
    tool: String,
    files: BTreeMap<PathBuf, String>,
}

impl Mark {
    fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().filter(|mark: &Self| mark.tool == "llmdbench")
    }
}

/// The files of a bundle by path, and the folders that they need.
struct Bundle<'a> {
    files: BTreeMap<PathBuf, &'a File>,
    folders: BTreeSet<PathBuf>,
}

impl<'a> Bundle<'a> {
    /// Checks that the paths are sound and that `bundle.json` tells the truth: the next call relies on it.
    fn new(files: &'a [File]) -> Result<Self, Diagnostic> {
        let mut by_path = BTreeMap::new();
        for file in files {
            let plain = file.path.components().all(|c| matches!(c, Utf8Component::Normal(_)));
            let tidy = file.path.components().map(|c| c.as_str()).eq(file.path.as_str().split('/'));
            if !plain || !tidy || file.path.as_str().contains('\0') {
                return Err(internal(format!("`{}` is no path for a file of a bundle", file.path)));
            }
            if by_path.insert(PathBuf::from(&file.path), file).is_some() {
                return Err(internal(format!("the bundle holds `{}` twice", file.path)));
            }
        }
        let folders: BTreeSet<_> = by_path.keys().flat_map(|path| folders_of(path)).collect();
        if let Some(path) = by_path.keys().find(|path| folders.contains(*path)) {
            return Err(internal(format!("the bundle holds `{}` as file and as folder", path.display())));
        }
        let listed = by_path.get(Path::new(MARK)).and_then(|file| Mark::parse(file.content.as_bytes()));
        let listed = listed.ok_or_else(|| internal(format!("the bundle holds no valid `{MARK}`")))?.files;
        let held = by_path.iter().filter(|(path, _)| *path != Path::new(MARK));
        if held.map(|(path, file)| (path.clone(), digest(&file.content))).collect::<BTreeMap<_, _>>() != listed {
            return Err(internal(format!("`{MARK}` does not list exactly the files of the bundle")));
        }
        Ok(Self { files: by_path, folders })
    }
}

/// What is in a directory, at any depth, by relative path. Symbolic links are not followed.
struct Tree {
    root: PathBuf,
    folder: Metadata,
    entries: BTreeMap<PathBuf, Metadata>,
}

impl Tree {
    /// Reads the tree; a folder of another file system in it is an error, because it must not be emptied with it.
    fn read(root: &Path) -> Result<Self, Diagnostic> {
        let folder = fs::symlink_metadata(root).map_err(|e| unreadable(root, &e))?;
        let mut entries = BTreeMap::new();
        let mut waiting = vec![PathBuf::new()];
        while let Some(inner) = waiting.pop() {
            let at = root.join(&inner);
            for entry in fs::read_dir(&at).map_err(|e| unreadable(&at, &e))? {
                let entry = entry.map_err(|e| unreadable(&at, &e))?;
                let data = entry.metadata().map_err(|e| unreadable(&entry.path(), &e))?;
                let path = inner.join(entry.file_name());
                if data.is_dir() {
                    if data.dev() != folder.dev() {
                        return Err(mounted(&entry.path()));
                    }
                    waiting.push(path.clone());
                }
                entries.insert(path, data);
            }
        }
        Ok(Self { root: root.to_owned(), folder, entries })
    }

    /// The files that an earlier bundle listed, with its `bundle.json`; `None` when no bundle of ours is here.
    fn listed(&self) -> Result<Option<BTreeSet<PathBuf>>, Diagnostic> {
        if !self.entries.get(Path::new(MARK)).is_some_and(Metadata::is_file) {
            return Ok(None);
        }
        let at = self.root.join(MARK);
        let json = fs::read(&at).map_err(|e| unreadable(&at, &e))?;
        Ok(Mark::parse(&json).map(|mark| mark.files.into_keys().chain([PathBuf::from(MARK)]).collect()))
    }

    /// Whether a bundle may be written here: over one of ours, or into an empty directory.
    fn is_ours(&self) -> Result<bool, Diagnostic> {
        Ok(self.entries.is_empty() || self.listed()?.is_some())
    }

    /// The files here that belong to a bundle. A directory that is neither empty nor ours is refused.
    fn owned(&self) -> Result<BTreeSet<PathBuf>, Diagnostic> {
        if !self.is_ours()? {
            let problem = Problem::ForeignDirectory { path: self.root.display().to_string() };
            let hint = format!("choose another directory, or empty this one; a bundle is known by its `{MARK}`");
            return Err(Diagnostic::error(problem, None).with_hint(hint));
        }
        Ok(self.listed()?.unwrap_or_default())
    }

    /// Whether the file at `path` is `file` already.
    fn holds(&self, path: &Path, data: &Metadata, file: &File) -> Result<bool, Diagnostic> {
        let executable = data.mode() & 0o100 != 0;
        if !data.is_file() || executable != file.executable || data.len() != file.content.len() as u64 {
            return Ok(false);
        }
        let at = self.root.join(path);
        Ok(fs::read(&at).map_err(|e| unreadable(&at, &e))? == file.content.as_bytes())
    }

    /// That every folder can be emptied once it is replaced: one's own can, those of others only when writable.
    fn check_removable(&self) -> Result<(), Diagnostic> {
        let user = rustix::process::geteuid().as_raw();
        let inner = self.entries.iter().map(|(path, data)| (self.root.join(path), data));
        for (path, data) in inner.chain([(self.root.clone(), &self.folder)]) {
            if data.is_dir() && data.uid() != user {
                accessat(CWD, &path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
                    .map_err(|e| unwritable(&path, e))?;
            }
        }
        Ok(())
    }
}

/// What the new tree consists of, paths relative to it.
struct Plan<'a> {
    /// Its folders, parents first, with the existing folder to take mode and owner from.
    folders: BTreeMap<PathBuf, Option<&'a Metadata>>,
    /// What is taken over from the old tree as it is.
    carried: BTreeMap<&'a Path, &'a Metadata>,
    /// What is written anew.
    written: Vec<(&'a Path, &'a File)>,
    /// Folders in which nothing is the bundle's, so that their mtime stays as well.
    foreign: BTreeSet<&'a Path>,
    report: Report,
}

impl<'a> Plan<'a> {
    /// Refuses when something that no bundle wrote is where the bundle wants to write.
    fn new(bundle: &'a Bundle<'_>, old: Option<&'a Tree>, owned: &BTreeSet<PathBuf>) -> Result<Self, Diagnostic> {
        let mut plan = Self {
            folders: bundle.folders.iter().map(|path| (path.clone(), None)).collect(),
            carried: BTreeMap::new(),
            written: Vec::new(),
            foreign: BTreeSet::new(),
            report: Report::default(),
        };
        if let Some(old) = old {
            let owned_folders: BTreeSet<PathBuf> = owned.iter().flat_map(|path| folders_of(path)).collect();
            for (path, data) in &old.entries {
                let owner = if data.is_dir() { &owned_folders } else { owned };
                if !owner.contains(path) {
                    plan.keep(path, data, bundle, old)?;
                } else if let Some(file) = bundle.files.get(path).filter(|_| !data.is_dir()) {
                    if old.holds(path, data, file)? {
                        plan.carried.insert(path, data);
                    }
                } else if !data.is_dir() {
                    plan.report.removed += 1;
                }
            }
            for (path, existing) in &mut plan.folders {
                *existing = old.entries.get(path).filter(|data| data.is_dir());
            }
        }
        let files = bundle.files.iter().map(|(path, file)| (path.as_path(), *file));
        plan.written.extend(files.filter(|(path, _)| !plan.carried.contains_key(path)));
        plan.report.written = plan.written.len();
        plan.report.unchanged = bundle.files.len() - plan.written.len();
        Ok(plan)
    }

    /// Plans to keep what no bundle wrote, and the folders that lead to it.
    fn keep(&mut self, path: &'a Path, data: &'a Metadata, bundle: &Bundle, old: &Tree) -> Result<(), Diagnostic> {
        let wanted = |path: &Path| bundle.files.contains_key(path);
        let in_the_way = if data.is_dir() { wanted(path) } else { wanted(path) || bundle.folders.contains(path) };
        if in_the_way || folders_of(path).any(|folder| wanted(&folder)) {
            let reason = "the bundle needs this place, and what is there was not written by a bundle";
            return Err(unwritable(&old.root.join(path), reason).with_hint("move it away, or choose another directory"));
        }
        self.folders.extend(folders_of(path).map(|folder| (folder, None)));
        if data.is_dir() {
            self.folders.insert(path.to_owned(), None);
            if !bundle.folders.contains(path) {
                self.foreign.insert(path);
            }
        } else {
            self.carried.insert(path, data);
        }
        Ok(())
    }

    fn changes_nothing(&self) -> bool {
        self.report.written == 0 && self.report.removed == 0
    }
}

/// A directory to write, by its parent and its name; where it leads to when it is a symbolic link.
struct Place {
    parent: PathBuf,
    name: OsString,
    /// The parents that were missing and have been created, outermost first.
    created: Vec<PathBuf>,
}

impl Place {
    fn find(dir: &Utf8Path) -> Result<Self, Diagnostic> {
        let mut path: PathBuf = dir.components().collect();
        for links in 0..40 {
            let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")).to_owned();
            match fs::symlink_metadata(&path) {
                Ok(data) if data.is_symlink() => {
                    path = parent.join(fs::read_link(&path).map_err(|e| unreadable(&path, &e))?);
                }
                Ok(data) if data.is_dir() => {
                    let whole = path.canonicalize().map_err(|e| unreadable(&path, &e))?;
                    let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else {
                        return Err(unwritable(&whole, "a bundle cannot replace the root of the file system"));
                    };
                    return Ok(Self { parent: parent.to_owned(), name: name.to_owned(), created: Vec::new() });
                }
                Ok(_) => return Err(unwritable(dir.as_std_path(), "it exists and is not a directory")),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    let Some(name) = path.file_name().map(ToOwned::to_owned) else {
                        return Err(unwritable(dir.as_std_path(), e));
                    };
                    if links == 0 {
                        let created = create_with_parents(&parent)?;
                        let parent = parent.canonicalize().map_err(|e| unreadable(&parent, &e))?;
                        return Ok(Self { parent, name, created });
                    }
                    let place = Self { parent, name, created: Vec::new() };
                    if fs::symlink_metadata(place.parked()).is_ok() {
                        return Ok(place);
                    }
                    return Err(unwritable(dir.as_std_path(), "it is a symbolic link that leads nowhere"));
                }
                Err(e) => return Err(unreadable(&path, &e)),
            }
        }
        Err(unwritable(dir.as_std_path(), Errno::LOOP))
    }

    fn dir(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(&self.name);
        name.push(suffix);
        self.parent.join(name)
    }

    /// Where trees are built and taken down.
    fn stage(&self) -> PathBuf {
        self.sibling(".llmdbench-new")
    }

    /// Where the old directory waits when two cannot be exchanged.
    fn parked(&self) -> PathBuf {
        self.sibling(".llmdbench-old")
    }

    /// Waits until no other call works below this parent. The lock ends with the process, whatever ends it.
    fn lock(&self) -> Result<fs::File, Diagnostic> {
        let parent = fs::File::open(&self.parent).map_err(|e| unreadable(&self.parent, &e))?;
        loop {
            match flock(&parent, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                // Some network file systems cannot lock a directory; better to go on there than never to write.
                Ok(()) | Err(Errno::BADF | Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => {
                    return Ok(parent);
                }
                Err(e) => return Err(unwritable(&self.parent, e)),
            }
        }
    }

    fn replace(&self, bundle: &Bundle, can: Abilities) -> Result<Report, Diagnostic> {
        self.recover()?;
        let old = match fs::symlink_metadata(self.dir()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            _ => Some(Tree::read(&self.dir())?),
        };
        let owned = old.as_ref().map_or(Ok(BTreeSet::new()), Tree::owned)?;
        let plan = Plan::new(bundle, old.as_ref(), &owned)?;
        if plan.changes_nothing() {
            return Ok(plan.report);
        }
        if let Some(old) = &old {
            if old.folder.dev() != fs::metadata(&self.parent).map_err(|e| unreadable(&self.parent, &e))?.dev() {
                return Err(mounted(&old.root));
            }
            old.check_removable()?;
        }
        let swapped = self.build(&plan, old.as_ref(), can).and_then(|()| self.swap(old.is_some(), can));
        let replaced = match swapped {
            Ok(replaced) => replaced,
            Err(error) => {
                // The error at hand matters more than one of the clearing, which the next call does anyway.
                let _ = self.clear();
                return Err(error);
            }
        };
        let rescued = old.as_ref().map_or(Ok(()), |old| rescue(&replaced, old, &owned));
        rescued.and_then(|()| self.recover()).map_err(|e| match e.hint {
            Some(_) => e,
            None => e.with_hint("the new bundle is in place; only the old one is left to remove"),
        })?;
        Ok(plan.report)
    }

    /// Finishes or undoes what an interrupted call left.
    fn recover(&self) -> Result<(), Diagnostic> {
        let (dir, parked) = (self.dir(), self.parked());
        let Ok(data) = fs::symlink_metadata(&parked) else {
            return self.clear();
        };
        let tree = if data.is_dir() { Some(Tree::read(&parked)?) } else { None };
        if !tree.map_or(Ok(false), |tree| tree.is_ours())? {
            return Err(in_our_place(&parked));
        }
        if fs::symlink_metadata(&dir).is_err() {
            rename(&parked, &dir)?;
            return self.clear();
        }
        // The parked tree can go once the new one has taken its place, and the stage without a tree is the proof.
        let stage = self.stage();
        if !stage.join(STAGE_MARK).exists() || stage.join("tree").exists() {
            let reason = "it is the directory as it was before an interrupted render, and another is in its place now";
            return Err(unwritable(&parked, reason).with_hint("keep the one you need under the right name"));
        }
        rename(&parked, &stage.join("old"))?;
        self.clear()
    }

    /// Creates the place where the new tree is built, marked as ours before anything is in it.
    fn open_stage(&self) -> Result<(), Diagnostic> {
        let stage = self.stage();
        let hint = "a bundle's directory is replaced as a whole, so its parent must be writable";
        make_private(&stage).map_err(|e| e.with_hint(hint))?;
        let mark = stage.join(STAGE_MARK);
        fs::File::create_new(&mark).map(drop).map_err(|e| {
            let _ = fs::remove_dir(&stage);
            unwritable(&mark, e)
        })
    }

    /// Removes the stage and the trees in it; a directory of that name that is not ours is refused.
    fn clear(&self) -> Result<(), Diagnostic> {
        let stage = self.stage();
        let data = match fs::symlink_metadata(&stage) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(unreadable(&stage, &e)),
            Ok(data) => data,
        };
        // A kill between two system calls can leave the stage without its mark, but then it is empty.
        let mark = stage.join(STAGE_MARK);
        let marked = data.is_dir() && fs::symlink_metadata(&mark).is_ok_and(|mark| mark.is_file());
        if marked {
            for tree in ["tree", "old"] {
                remove_tree(&stage.join(tree), data.dev())?;
            }
            fs::remove_file(&mark).map_err(|e| unwritable(&mark, e))?;
        }
        fs::remove_dir(&stage).map_err(|e| match e.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory => in_our_place(&stage),
            _ => unwritable(&stage, e),
        })
    }

    fn build(&self, plan: &Plan, old: Option<&Tree>, can: Abilities) -> Result<(), Diagnostic> {
        self.open_stage()?;
        let tree = self.stage().join("tree");
        make_private(&tree)?;
        for path in plan.folders.keys() {
            make_private(&tree.join(path))?;
        }
        let mut unsynced = Vec::new();
        if let Some(old) = old {
            for (path, data) in &plan.carried {
                let target = tree.join(path);
                if carry(&old.root.join(path), data, &target, can)? && data.is_file() {
                    unsynced.push(target);
                }
            }
        }
        for (path, file) in &plan.written {
            let target = tree.join(path);
            write_file(&target, file).map_err(|e| unwritable(&target, e))?;
            unsynced.push(target);
        }
        // All are written before the first is waited for: one flush then serves many.
        for path in &unsynced {
            fs::File::open(path).and_then(|file| file.sync_all()).map_err(|e| unwritable(path, e))?;
        }
        for (path, existing) in plan.folders.iter().rev() {
            let keep_time = plan.foreign.contains(path.as_path());
            finish_folder(&tree.join(path), *existing, keep_time)?;
        }
        finish_folder(&tree, old.map(|old| &old.folder), false)
    }

    /// Puts the new tree in place and says where the old one is now.
    fn swap(&self, exists: bool, can: Abilities) -> Result<PathBuf, Diagnostic> {
        let (dir, tree, parked) = (self.dir(), self.stage().join("tree"), self.parked());
        let replaced = if exists && can.exchange && exchange(&tree, &dir)? {
            tree
        } else {
            if exists {
                rename(&dir, &parked)?;
            }
            if let Err(error) = rename(&tree, &dir) {
                if exists {
                    rename(&parked, &dir)?;
                }
                return Err(error);
            }
            parked
        };
        // Makes it last through a power failure, where the file system can.
        let _ = fs::File::open(&self.parent).and_then(|parent| parent.sync_all());
        Ok(replaced)
    }
}

/// Brings over what others put into the directory while its successor was built.
///
/// What was there before has its link or copy in the new tree; anything else in the old one would be lost with it.
fn rescue(replaced: &Path, before: &Tree, owned: &BTreeSet<PathBuf>) -> Result<(), Diagnostic> {
    let hint = "it was put there while the bundle was written; take it before the next render clears it away";
    let mut moved = PathBuf::new();
    for (path, data) in Tree::read(replaced)?.entries {
        let known = before.entries.get(&path);
        let same = known.is_some_and(|known| known.ino() == data.ino() && known.dev() == data.dev());
        let owned = owned.contains(&path) && !data.is_dir();
        let inside = !moved.as_os_str().is_empty() && path.starts_with(&moved);
        if same || owned || inside {
            continue;
        }
        let (from, to) = (replaced.join(&path), before.root.join(&path));
        if let Some(parent) = to.parent() {
            create_with_parents(parent)?;
        }
        // A file that was saved anew replaces the link to its former self, and nothing else.
        let result = match known {
            Some(_) => fs::rename(&from, &to).map_err(|e| unwritable(&from, e)),
            None => rename(&from, &to),
        };
        result.map_err(|e| e.with_hint(hint))?;
        moved = path;
    }
    Ok(())
}

/// The folders that lead to a relative path, innermost first, without the root.
fn folders_of(path: &Path) -> impl Iterator<Item = PathBuf> + use<'_> {
    path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned)
}

/// Takes one thing that is not a folder over into the new tree; whether that took a copy.
fn carry(from: &Path, data: &Metadata, to: &Path, can: Abilities) -> Result<bool, Diagnostic> {
    let linked = if can.link { fs::hard_link(from, to) } else { Err(Errno::PERM.into()) };
    let Err(e) = linked else { return Ok(false) };
    match Errno::from_io_error(&e) {
        Some(Errno::PERM | Errno::MLINK | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        // Never copied: emptying the old tree would then empty what is mounted there.
        Some(Errno::XDEV) => return Err(mounted(from)),
        _ => return Err(unwritable(to, e)),
    }
    if data.is_symlink() {
        let target = fs::read_link(from).map_err(|e| unreadable(from, &e))?;
        std::os::unix::fs::symlink(target, to).map_err(|e| unwritable(to, e))?;
    } else if data.is_file() {
        fs::copy(from, to).map_err(|e| unwritable(to, e))?;
        let copy = fs::File::open(to).map_err(|e| unwritable(to, e))?;
        keep_owner(&copy, data);
        copy.set_permissions(data.permissions()).map_err(|e| unwritable(to, e))?;
        keep_time(&copy, data).map_err(|e| unwritable(to, e))?;
    } else {
        return Err(unwritable(from, "it is neither file nor folder nor symbolic link, and cannot be linked"));
    }
    Ok(true)
}

fn write_file(path: &Path, file: &File) -> io::Result<()> {
    let mode = if file.executable { 0o755 } else { 0o644 };
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    opened.write_all(file.content.as_bytes())?;
    opened.set_permissions(Permissions::from_mode(mode))
}

/// Gives a folder of the new tree its mode, when nothing more comes into it: that of the existing one, or 0755.
fn finish_folder(path: &Path, existing: Option<&Metadata>, keep_mtime: bool) -> Result<(), Diagnostic> {
    let finish = || {
        let folder = fs::File::open(path)?;
        // Some file systems cannot flush a folder; the files in it are safe all the same.
        let _ = folder.sync_all();
        match existing {
            Some(data) => {
                keep_owner(&folder, data);
                folder.set_permissions(Permissions::from_mode(data.mode() & 0o7777))?;
                if keep_mtime { keep_time(&folder, data) } else { Ok(()) }
            }
            None => open_to_all(&folder),
        }
    };
    finish().map_err(|e| unwritable(path, e))
}

/// Mode 0755, whatever the umask; the group id bit that a folder inherits stays.
fn open_to_all(folder: &fs::File) -> io::Result<()> {
    let inherited = folder.metadata()?.mode() & 0o2000;
    folder.set_permissions(Permissions::from_mode(0o755 | inherited))
}

fn keep_time(file: &fs::File, data: &Metadata) -> io::Result<()> {
    file.set_times(fs::FileTimes::new().set_accessed(data.accessed()?).set_modified(data.modified()?))
}

/// Keeps owner and group, as far as the user may give things away.
fn keep_owner(file: &fs::File, data: &Metadata) {
    if file.metadata().is_ok_and(|now| now.uid() != data.uid() || now.gid() != data.gid()) {
        let whole = std::os::unix::fs::fchown(file, Some(data.uid()), Some(data.gid()));
        let _ = whole.or_else(|_| std::os::unix::fs::fchown(file, None, Some(data.gid())));
    }
}

/// A folder that only its owner can enter, while it is incomplete.
fn make_private(path: &Path) -> Result<(), Diagnostic> {
    DirBuilder::new().mode(0o700).create(path).map_err(|e| unwritable(path, e))
}

/// Creates a directory where it is missing, with its parents, and says which ones it created, outermost first.
fn create_with_parents(dir: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let missing: Vec<_> = dir.ancestors().take_while(|path| !path.exists() && *path != Path::new("")).collect();
    let mut created = Vec::new();
    for path in missing.into_iter().rev() {
        let made = DirBuilder::new().create(path).and_then(|()| {
            created.push(path.to_owned());
            open_to_all(&fs::File::open(path)?)
        });
        match made {
            // Another process was faster.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(e) => {
                remove_empty(&created);
                return Err(unwritable(path, e));
            }
            Ok(()) => {}
        }
    }
    Ok(created)
}

/// Removes directories that this call created, as far as nobody has put anything into them.
fn remove_empty(created: &[PathBuf]) {
    for path in created.iter().rev() {
        let _ = fs::remove_dir(path);
    }
}

/// Removes a tree of the stage, if it is there; folders that cannot be written are made so first.
fn remove_tree(root: &Path, device: u64) -> Result<(), Diagnostic> {
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let data = match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(unreadable(&path, &e)),
            Ok(data) => data,
        };
        if data.dev() != device {
            return Err(mounted(&path));
        }
        if data.mode() & 0o700 != 0o700 {
            // Where this is not allowed, reading or removing says so.
            let _ = fs::set_permissions(&path, Permissions::from_mode(0o700));
        }
        for entry in fs::read_dir(&path).map_err(|e| unreadable(&path, &e))? {
            let entry = entry.map_err(|e| unreadable(&path, &e))?;
            if entry.file_type().map_err(|e| unreadable(&entry.path(), &e))?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    match fs::remove_dir_all(root) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(unwritable(root, e)),
        _ => Ok(()),
    }
}

/// Exchanges two directories in one step; whether the system can.
fn exchange(one: &Path, other: &Path) -> Result<bool, Diagnostic> {
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => Ok(false),
        Err(e) => Err(not_renamed(other, e)),
    }
}

/// Renames a directory to a name that must be free.
fn rename(from: &Path, to: &Path) -> Result<(), Diagnostic> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Without the flag at least nothing but an empty directory can be replaced.
        Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => fs::rename(from, to).map_err(|e| unwritable(to, e)),
        Err(e) => Err(not_renamed(to, e)),
        Ok(()) => Ok(()),
    }
}

fn not_renamed(path: &Path, e: Errno) -> Diagnostic {
    match e {
        Errno::BUSY | Errno::XDEV => mounted(path),
        _ => unwritable(path, e),
    }
}

fn mounted(path: &Path) -> Diagnostic {
    unwritable(path, "it belongs to a mount or an image layer, and cannot be replaced").with_hint(
        "a bundle's directory is replaced as a whole; choose one that is no mount point and holds none, such as a new \
         directory inside the mount",
    )
}

fn in_our_place(path: &Path) -> Diagnostic {
    unwritable(path, "llmdbench needs this name for a moment, and what is there is not of its making")
        .with_hint("move it away, or choose another directory")
}

fn unwritable(path: &Path, reason: impl ToString) -> Diagnostic {
    Diagnostic::error(Problem::Unwritable { path: path.display().to_string(), reason: reason.to_string() }, None)
}

fn unreadable(path: &Path, reason: &io::Error) -> Diagnostic {
    Diagnostic::error(Problem::Unreadable { path: path.display().to_string(), reason: reason.to_string() }, None)
}

fn internal(message: String) -> Diagnostic {
    Diagnostic::error(Problem::Internal { message }, None)
}

#[cfg(test)]
mod tests;
