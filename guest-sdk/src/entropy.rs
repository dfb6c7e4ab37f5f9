//! The backend of `getrandom`: it serves `Uuid::new_v4()` and the `rand` crate from the run's seed.
//!
//! `getrandom` compiles for wasm32-unknown-unknown only with `--cfg getrandom_backend="custom"`, which
//! `forge build` sets, and then calls the function below. Versions 0.3 and 0.4 use the same symbol and
//! the same representation of errors. Version 0.2, which `rand` 0.8 uses, has a feature and a macro instead.
#![allow(unsafe_code)]

use getrandom::Error;

/// Fills `len` bytes at `dest` with random data.
///
/// # Safety
/// `dest` must be valid for writes of `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(dest: *mut u8, len: usize) -> Result<(), Error> {
    if len > 0 {
        // SAFETY: `getrandom` passes a valid buffer. It may be uninitialised, so it is written
        // before a reference to it is made.
        let dest = unsafe {
            dest.write_bytes(0, len);
            std::slice::from_raw_parts_mut(dest, len)
        };
        crate::random::fill(dest);
    }
    Ok(())
}

fn fill_02(dest: &mut [u8]) -> Result<(), getrandom_02::Error> {
    crate::random::fill(dest);
    Ok(())
}

getrandom_02::register_custom_getrandom!(fill_02);
