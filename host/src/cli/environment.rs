//! Secrets in the environment.

use std::ffi::CStr;

/// The variables whose values are secret and that are read when the command line is parsed.
const SECRET: [&CStr; 1] = [c"FORGE_SECRETS_KEY"];

/// Overwrites and removes the variables with secrets, so that neither `/proc/PID/environ` nor a child process has them. Call it
/// before the process has other threads.
#[cfg(unix)]
pub(super) fn wipe() {
    use zeroize::Zeroize as _;

    for name in SECRET {
        #[expect(
            unsafe_code,
            reason = "no other thread uses the environment, and the text is that of the variable"
        )]
        unsafe {
            let value = libc::getenv(name.as_ptr());
            if value.is_null() {
                continue;
            }
            std::slice::from_raw_parts_mut(value.cast::<u8>(), libc::strlen(value)).zeroize();
            libc::unsetenv(name.as_ptr());
        }
    }
}

/// Does nothing: other systems do not show the environment of a process to others.
#[cfg(not(unix))]
pub(super) fn wipe() {}
