//! What the compiler process may not do: an error in the compiler that a component uses must not become the host's.
//!
//! Each measure works alone, because a kernel or a container may lack one: another user, no files (Landlock), and only the
//! system calls that computing needs (seccomp).

use std::fs::File;
use std::net::UdpSocket;

use super::CompilerUser;

/// A file that every process can read.
const READABLE: &str = "/proc/self/status";

/// Confines this process, and returns the measures that are missing.
pub(super) fn confine(user: Option<CompilerUser>) -> Vec<String> {
    let measures = [
        ("a user of its own", user.map_or(Ok(()), become_user)),
        ("protection from other processes", hide()),
        ("Landlock", forbid_files()),
        ("seccomp", forbid_system_calls()),
    ];
    let missing =
        |(name, result): (&str, Result<(), String>)| result.err().map(|why| format!("{name} ({why})"));
    measures.into_iter().filter_map(missing).collect()
}

/// Tries what a confined process cannot do, and returns what it could.
pub(super) fn attempts() -> Vec<String> {
    let attempts = [
        ("files can be opened", File::open(READABLE).is_ok()),
        ("sockets can be opened", UdpSocket::bind("127.0.0.1:0").is_ok()),
    ];
    attempts.into_iter().filter(|(_, succeeded)| *succeeded).map(|(what, _)| what.to_owned()).collect()
}

#[cfg(target_os = "linux")]
fn become_user(CompilerUser { user, group }: CompilerUser) -> Result<(), String> {
    let check = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().to_string()),
    };
    #[expect(
        unsafe_code,
        reason = "the calls take numbers, and an empty list, and this process has one thread"
    )]
    unsafe {
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(group, group, group))?;
        check(libc::setresuid(user, user, user))
    }
}

/// Keeps processes of the same user from reading and changing the memory of this one.
#[cfg(target_os = "linux")]
fn hide() -> Result<(), String> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| error.to_string())
}

/// Forbids to open files, to connect, and to send signals to other processes, as far as this kernel can. Pipes that are open
/// stay usable.
#[cfg(target_os = "linux")]
fn forbid_files() -> Result<(), String> {
    use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetStatus, Scope};

    const KNOWN: ABI = ABI::V6;
    let restrict = || {
        let ruleset = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?;
        let ruleset = ruleset.handle_access(AccessNet::from_all(KNOWN))?.scope(Scope::from_all(KNOWN))?;
        ruleset.create()?.restrict_self()
    };
    match restrict().map_err(|error: landlock::RulesetError| error.to_string())?.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err("this kernel does not have it".to_owned()),
    }
}

/// Lets every system call fail except those of a process that computes, and that reads and writes its own streams. No new
/// memory can be executed. A process started by this one could not gain rights either (`no_new_privs`).
#[cfg(target_os = "linux")]
fn forbid_system_calls() -> Result<(), String> {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

    let compile = || {
        let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        let arch = std::env::consts::ARCH.try_into()?;
        BpfProgram::try_from(SeccompFilter::new(rules()?, denied, SeccompAction::Allow, arch)?)
    };
    let program = compile().map_err(|error: seccompiler::BackendError| error.to_string())?;
    apply_filter(&program).map_err(|error| error.to_string())
}

/// The rules by system call: it is allowed if one of them matches, or if there are none.
#[cfg(target_os = "linux")]
type Rules = std::collections::BTreeMap<libc::c_long, Vec<seccompiler::SeccompRule>>;

#[cfg(target_os = "linux")]
fn rules() -> Result<Rules, seccompiler::BackendError> {
    use seccompiler::SeccompCmpArgLen::Dword;
    use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
    use seccompiler::{SeccompCondition, SeccompRule};

    const ALWAYS: [libc::c_long; 15] = [
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_futex,
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_exit_group,
    ];
    let when = |argument, operator, value| {
        SeccompRule::new(vec![SeccompCondition::new(argument, Dword, operator, value)?])
    };
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    let not_executable = || when(2, MaskedEq(executable), 0);
    let mut rules: Rules = ALWAYS.map(|call| (call, Vec::new())).into();
    rules.insert(libc::SYS_read, vec![when(0, Eq, 0)?]);
    rules.insert(libc::SYS_write, vec![when(0, Eq, 1)?, when(0, Eq, 2)?]);
    rules.insert(libc::SYS_writev, vec![when(0, Eq, 1)?, when(0, Eq, 2)?]);
    rules.insert(libc::SYS_mmap, vec![not_executable()?]);
    rules.insert(libc::SYS_mprotect, vec![not_executable()?]);
    // To end with SIGABRT, by which the parent recognises a lack of memory.
    rules.insert(libc::SYS_tgkill, vec![when(0, Eq, u64::from(std::process::id()))?]);
    Ok(rules)
}

#[cfg(not(target_os = "linux"))]
fn become_user(_: CompilerUser) -> Result<(), String> {
    Err("only on Linux".to_owned())
}

#[cfg(not(target_os = "linux"))]
fn hide() -> Result<(), String> {
    Err("only on Linux".to_owned())
}

#[cfg(not(target_os = "linux"))]
fn forbid_files() -> Result<(), String> {
    Err("only on Linux".to_owned())
}

#[cfg(not(target_os = "linux"))]
fn forbid_system_calls() -> Result<(), String> {
    Err("only on Linux".to_owned())
}
