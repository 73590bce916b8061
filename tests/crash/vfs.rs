//! A VFS that passes everything on to the system's own one, and can watch, fail, lie and be slow.
//!
//! [`Disk::watch`] takes over everything SQLite does below one directory: it keeps a log of what
//! was written, cut, synced and deleted, makes the I/O one asks for fail, answers syncs without
//! doing them, or takes its time over them. Files elsewhere are passed through untouched, so tests
//! run side by side. The first call makes it the default VFS of the process: call it before the
//! store is opened.
//!
//! Self-contained: needs `rusqlite` alone, so that another test crate can include it by its path.
//! What is not SQLite's shows when SQLite opens a file next: that it was renamed, removed, or
//! written by something else.

#![allow(unsafe_code, reason = "SQLite takes its file system as C functions")]
#![allow(dead_code, reason = "each test crate that includes it uses a part of it")]

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use rusqlite::ffi;

/// Tells files apart, whatever they are called.
pub type FileId = usize;

/// One thing that happened to the watched directory. Names are relative to it.
#[derive(Debug, Clone)]
pub enum Op {
    /// The name leads to this file from now on.
    Open {
        file: FileId,
        name: String,
        created: bool,
    },
    /// Something else renamed the file; it was seen when SQLite opened it under its new name.
    Renamed {
        from: String,
        to: String,
    },
    /// Something else removed the name.
    Gone {
        name: String,
    },
    /// Something else wrote the file, and is taken to have synced it.
    Foreign {
        file: FileId,
        bytes: Vec<u8>,
    },
    Write {
        file: FileId,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: FileId,
        size: usize,
    },
    /// A sync that returned; it had failed if not `kept`.
    Sync {
        file: FileId,
        kept: bool,
    },
    Delete {
        name: String,
    },
}

/// Kinds of I/O that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    Open,
    Read,
    Write,
    Truncate,
    Sync,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The device fails.
    Error,
    /// No room is left.
    Full,
    /// Half of it is written, then no room is left.
    Short,
}

/// The `at`-th I/O of a kind, counted from 1 when the fault is set, fails; `lasting`: and all after.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub io: Io,
    pub how: How,
    pub at: u64,
    pub lasting: bool,
}

/// What the disk does besides what it is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners {
    /// Keep the log.
    pub log: bool,
    /// Every sync takes so much longer.
    pub sync_delay: Duration,
    /// Syncs are answered and not done.
    pub lies: bool,
    /// `PRAGMA synchronous=FULL` reaches SQLite as NORMAL.
    pub weakens: bool,
}

#[derive(Default)]
struct Record {
    manners: Manners,
    ops: Vec<Op>,
    /// By inode.
    files: HashMap<u64, FileId>,
    names: HashMap<String, u64>,
    file_last: FileId,
    /// How often each is open.
    handles: HashMap<FileId, u32>,
    fault: Option<Fault>,
    fault_count: u64,
    fault_hits: u64,
    syncs: u64,
}

struct Watched {
    dir: PathBuf,
    record: Mutex<Record>,
}

/// A directory under watch, until this is dropped.
pub struct Disk(Arc<Watched>);

/// When files were last written that we know all about. (No file has to be opened for this while
/// SQLite has it: closing it would take SQLite's locks along.)
const CLOSED: SystemTime = SystemTime::UNIX_EPOCH;

static REAL: AtomicPtr<ffi::sqlite3_vfs> = AtomicPtr::new(std::ptr::null_mut());
static WATCHED: Mutex<Vec<Weak<Watched>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    pub fn watch(dir: &Path, manners: Manners) -> std::io::Result<Self> {
        install();
        let record = Mutex::new(Record { manners, ..Record::default() });
        let watched = Arc::new(Watched { dir: dir.canonicalize()?, record });
        let mut all = lock(&WATCHED);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&watched));
        Ok(Self(watched))
    }

    /// How many things have happened so far.
    pub fn now(&self) -> usize {
        lock(&self.0.record).ops.len()
    }

    /// What happened so far, copied.
    pub fn ops(&self) -> Vec<Op> {
        lock(&self.0.record).ops.clone()
    }

    /// Syncs that were asked for, and not made to fail.
    pub fn syncs(&self) -> u64 {
        lock(&self.0.record).syncs
    }

    pub fn set_manners(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut lock(&self.0.record).manners);
    }

    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut record = lock(&self.0.record);
        record.fault = fault;
        record.fault_count = 0;
        record.fault_hits = 0;
    }

    /// How often the fault that is set has struck.
    pub fn fault_hits(&self) -> u64 {
        lock(&self.0.record).fault_hits
    }
}

impl Record {
    /// Whether this I/O has to fail.
    fn strike(&mut self, io: Io) -> Option<How> {
        let fault = self.fault.filter(|fault| fault.io == io)?;
        self.fault_count += 1;
        let hit = self.fault_count == fault.at || (fault.lasting && self.fault_count > fault.at);
        self.fault_hits += u64::from(hit);
        hit.then_some(fault.how)
    }

    fn note(&mut self, op: Op) {
        if self.manners.log {
            self.ops.push(op);
        }
    }

    /// A file was opened: which is it?
    fn opened(&mut self, dir: &Path, path: &Path, created: bool) -> FileId {
        let Ok(inode) = path.metadata().map(|metadata| metadata.ino()) else { return 0 };
        let name = path.strip_prefix(dir).unwrap_or(path).display().to_string();
        let is_same = |name: &str, inode: u64| {
            dir.join(name).metadata().is_ok_and(|metadata| metadata.ino() == inode)
        };
        let known = self.files.get(&inode).copied().filter(|_| !created);
        let file = known.unwrap_or_else(|| {
            self.file_last += 1;
            self.files.insert(inode, self.file_last);
            self.file_last
        });
        let away: Vec<_> = self.names.iter().filter(|(n, i)| !is_same(n, **i)).collect();
        let away: Vec<_> = away.into_iter().map(|(n, i)| (n.clone(), *i)).collect();
        let mut is_known = self.names.get(&name) == Some(&inode) && !created;
        for (from, was) in away {
            self.names.remove(&from);
            if was == inode && !created {
                self.note(Op::Renamed { from, to: name.clone() });
                is_known = true;
            } else {
                self.note(Op::Gone { name: from });
            }
        }
        self.names.insert(name.clone(), inode);
        if !is_known {
            self.note(Op::Open { file, name, created });
        }
        if self.handles.get(&file).is_none_or(|n| *n == 0) && !created && self.manners.log {
            let written = path.metadata().and_then(|metadata| metadata.modified()).ok();
            if written != Some(CLOSED)
                && let Ok(bytes) = std::fs::read(path)
            {
                self.note(Op::Foreign { file, bytes });
            }
        }
        *self.handles.entry(file).or_default() += 1;
        file
    }

    /// Marks a file that nobody has open any more, so that a foreign write shows.
    fn closed(&mut self, file: FileId, path: &Path) {
        let handles = self.handles.entry(file).or_default();
        *handles = handles.saturating_sub(1);
        let inode = path.metadata().map(|metadata| metadata.ino());
        let same = inode.is_ok_and(|inode| self.files.get(&inode) == Some(&file));
        if *handles == 0 && self.manners.log && same {
            let _ = File::open(path).and_then(|file| file.set_modified(CLOSED));
        }
    }
}

/// Lies in memory that SQLite allocates; the real file follows it there.
#[repr(C)]
struct Shim {
    base: ffi::sqlite3_file,
    watch: *mut Watch,
}

/// An open file of a watched directory.
struct Watch {
    disk: Arc<Watched>,
    file: FileId,
    path: PathBuf,
}

/// The VFS that has a file for one process alone.
const OWN: &CStr = c"unix-excl";

fn install() {
    static ONCE: Once = Once::new();
    // SAFETY: the real VFS lives for ever; the copy is leaked, so it does too. What the functions
    // that are copied get as their VFS is ours, which the unix VFS never looks into but in xOpen.
    ONCE.call_once(|| unsafe {
        let real = ffi::sqlite3_vfs_find(OWN.as_ptr());
        assert!(!real.is_null(), "SQLite has no such VFS");
        REAL.store(real, Ordering::Release);
        let mut ours = *real;
        ours.pNext = std::ptr::null_mut();
        // The one that the store asks for, of two that have the name: SQLite takes the first.
        ours.zName = OWN.as_ptr();
        ours.szOsFile += c_int::try_from(size_of::<Shim>()).unwrap_or(c_int::MAX);
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        let ours = Box::leak(Box::new(ours));
        assert_eq!(ffi::sqlite3_vfs_register(ours, 1), ffi::SQLITE_OK);
    });
}

fn disk_of(path: &Path) -> Option<Arc<Watched>> {
    let all = lock(&WATCHED);
    let mut holding = all.iter().filter_map(Weak::upgrade).filter(|w| path.starts_with(&w.dir));
    holding.next()
}

/// SAFETY: `name` is null or ends with a zero.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })?;
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives room for `szOsFile` bytes, and names as their documentation says.
    unsafe {
        let shim = file.cast::<Shim>();
        (*shim).base.pMethods = std::ptr::null();
        (*shim).watch = std::ptr::null_mut();
        let path = path_of(name);
        let disk = path.as_deref().and_then(disk_of);
        if let Some(disk) = &disk
            && lock(&disk.record).strike(Io::Open).is_some()
        {
            return ffi::SQLITE_CANTOPEN;
        }
        // Held until it is noted, or two threads could both be taken to have made the file, and
        // what the first has written by then would be missing from all images.
        let mut record = disk.as_deref().map(|disk| lock(&disk.record));
        let existed = path.as_deref().is_some_and(Path::exists);
        let vfs = REAL.load(Ordering::Acquire);
        let Some(real_open) = (*vfs).xOpen else { return ffi::SQLITE_CANTOPEN };
        let code = real_open(vfs, name, real(file), flags, out_flags);
        if code != ffi::SQLITE_OK {
            if !(*real(file)).pMethods.is_null() {
                call(file, |methods| methods.xClose);
            }
            return code;
        }
        let noted = record.as_mut().zip(disk.as_ref()).zip(path);
        let noted = noted.map(|((record, disk), path)| {
            let file = record.opened(&disk.dir, &path, !existed);
            Watch { disk: Arc::clone(disk), file, path }
        });
        if let Some(watch) = noted {
            (*shim).watch = Box::into_raw(Box::new(watch));
        }
        (*shim).base.pMethods = &raw const METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: as for `open`.
    unsafe {
        let path = path_of(name);
        let disk = path.as_deref().and_then(disk_of);
        if let Some(disk) = &disk
            && lock(&disk.record).strike(Io::Delete).is_some()
        {
            return ffi::SQLITE_IOERR_DELETE;
        }
        // As for `open`: a file made under this name right after must not be taken for this one.
        let mut record = disk.as_deref().map(|disk| (lock(&disk.record), &disk.dir));
        let vfs = REAL.load(Ordering::Acquire);
        let Some(real_delete) = (*vfs).xDelete else { return ffi::SQLITE_IOERR_DELETE };
        let code = real_delete(vfs, name, sync);
        if let (Some((record, dir)), Some(path), ffi::SQLITE_OK) = (record.as_mut(), path, code) {
            let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
            record.names.remove(&name);
            record.note(Op::Delete { name });
        }
        code
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2, // With shared memory for the WAL, without memory-mapped pages.
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(set_lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

// SAFETY of all that follow: SQLite hands in files that `open` has made, and keeps the contracts
// of the methods; every real file of the unix VFS has methods of version 2 or later.

unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    unsafe { file.cast::<u8>().add(size_of::<Shim>()).cast() }
}

unsafe fn methods<'a>(file: *mut ffi::sqlite3_file) -> &'a ffi::sqlite3_io_methods {
    unsafe { &*(*real(file)).pMethods }
}

type Plain = unsafe extern "C" fn(*mut ffi::sqlite3_file) -> c_int;

unsafe fn call(
    file: *mut ffi::sqlite3_file,
    method: impl FnOnce(&ffi::sqlite3_io_methods) -> Option<Plain>,
) -> c_int {
    unsafe { method(methods(file)).map_or(ffi::SQLITE_OK, |method| method(real(file))) }
}

/// The file's watch, if its directory is watched.
unsafe fn watch<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a Watch> {
    unsafe { (*file.cast::<Shim>()).watch.as_ref() }
}

unsafe fn strike(file: *mut ffi::sqlite3_file, io: Io) -> Option<How> {
    unsafe { watch(file) }.and_then(|watch| lock(&watch.disk.record).strike(io))
}

unsafe fn note(file: *mut ffi::sqlite3_file, op: impl FnOnce(FileId) -> Op) {
    if let Some(watch) = unsafe { watch(file) } {
        lock(&watch.disk.record).note(op(watch.file));
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe {
        let watch = std::mem::replace(&mut (*file.cast::<Shim>()).watch, std::ptr::null_mut());
        let code = call(file, |methods| methods.xClose);
        if !watch.is_null() {
            let watch = Box::from_raw(watch);
            lock(&watch.disk.record).closed(watch.file, &watch.path);
        }
        code
    }
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    unsafe {
        if strike(file, Io::Read).is_some() {
            return ffi::SQLITE_IOERR_READ;
        }
        let real_read = methods(file).xRead;
        real_read.map_or(ffi::SQLITE_IOERR, |read| read(real(file), to, amount, offset))
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    unsafe {
        let (taken, answer) = match strike(file, Io::Write) {
            None => (amount, ffi::SQLITE_OK),
            Some(How::Error) => return ffi::SQLITE_IOERR_WRITE,
            Some(How::Full) => return ffi::SQLITE_FULL,
            Some(How::Short) => (amount / 2, ffi::SQLITE_FULL),
        };
        let Some(real_write) = methods(file).xWrite else { return ffi::SQLITE_IOERR };
        let code = real_write(real(file), from, taken, offset);
        if code != ffi::SQLITE_OK {
            return code;
        }
        note(file, |file| {
            let taken = usize::try_from(taken).unwrap_or(0);
            let bytes = std::slice::from_raw_parts(from.cast::<u8>(), taken).to_vec();
            Op::Write { file, offset: usize::try_from(offset).unwrap_or(0), bytes }
        });
        answer
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    unsafe {
        if strike(file, Io::Truncate).is_some() {
            return ffi::SQLITE_IOERR_TRUNCATE;
        }
        let real_truncate = methods(file).xTruncate;
        let code = real_truncate.map_or(ffi::SQLITE_IOERR, |cut| cut(real(file), size));
        if code == ffi::SQLITE_OK {
            let size = usize::try_from(size).unwrap_or(0);
            note(file, |file| Op::Truncate { file, size });
        }
        code
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    unsafe {
        if strike(file, Io::Sync).is_some() {
            note(file, |file| Op::Sync { file, kept: false });
            return ffi::SQLITE_IOERR_FSYNC;
        }
        if let Some(watch) = watch(file) {
            let mut record = lock(&watch.disk.record);
            record.syncs += 1;
            let Manners { lies, sync_delay, .. } = record.manners;
            drop(record);
            std::thread::sleep(sync_delay);
            if lies {
                return ffi::SQLITE_OK;
            }
        }
        let real_sync = methods(file).xSync;
        let code = real_sync.map_or(ffi::SQLITE_IOERR, |sync| sync(real(file), flags));
        note(file, |file| Op::Sync { file, kept: code == ffi::SQLITE_OK });
        code
    }
}

unsafe extern "C" fn file_control(
    file: *mut ffi::sqlite3_file,
    op: c_int,
    argument: *mut c_void,
) -> c_int {
    unsafe {
        let weakens = watch(file).is_some_and(|watch| lock(&watch.disk.record).manners.weakens);
        if weakens && op == ffi::SQLITE_FCNTL_PRAGMA {
            // The name and the value of the pragma, the latter in memory of its own.
            let (name, value) =
                (*argument.cast::<*mut c_char>().add(1), *argument.cast::<*mut c_char>().add(2));
            let is = |text: *mut c_char, word: &CStr| {
                !text.is_null()
                    && CStr::from_ptr(text).to_bytes().eq_ignore_ascii_case(word.to_bytes())
            };
            if is(name, c"synchronous") && is(value, c"FULL") {
                c"1".as_ptr().copy_to(value, 2);
            }
        }
        let real_control = methods(file).xFileControl;
        real_control.map_or(ffi::SQLITE_NOTFOUND, |control| control(real(file), op, argument))
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    unsafe { methods(file).xFileSize.map_or(ffi::SQLITE_IOERR, |ask| ask(real(file), size)) }
}

unsafe extern "C" fn set_lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    unsafe { methods(file).xLock.map_or(ffi::SQLITE_IOERR, |lock| lock(real(file), level)) }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    unsafe { methods(file).xUnlock.map_or(ffi::SQLITE_IOERR, |unlock| unlock(real(file), level)) }
}

unsafe extern "C" fn check_reserved_lock(
    file: *mut ffi::sqlite3_file,
    answer: *mut c_int,
) -> c_int {
    let check = unsafe { methods(file) }.xCheckReservedLock;
    unsafe { check.map_or(ffi::SQLITE_IOERR, |check| check(real(file), answer)) }
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe { call(file, |methods| methods.xSectorSize) }
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe { call(file, |methods| methods.xDeviceCharacteristics) }
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    to: *mut *mut c_void,
) -> c_int {
    let map = unsafe { methods(file) }.xShmMap;
    unsafe { map.map_or(ffi::SQLITE_IOERR, |map| map(real(file), page, size, extend, to)) }
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    n: c_int,
    flags: c_int,
) -> c_int {
    let lock = unsafe { methods(file) }.xShmLock;
    unsafe { lock.map_or(ffi::SQLITE_IOERR, |lock| lock(real(file), offset, n, flags)) }
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    unsafe {
        if let Some(barrier) = methods(file).xShmBarrier {
            barrier(real(file));
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    unsafe { methods(file).xShmUnmap.map_or(ffi::SQLITE_OK, |unmap| unmap(real(file), delete)) }
}
