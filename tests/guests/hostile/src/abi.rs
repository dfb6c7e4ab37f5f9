//! Arguments that no binding generator produces: invalid texts and lists.

use crate::bindings::forge::workflow::time;
use crate::{Attack, BODY, Outcome, done};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("text_that_is_no_utf8", |_| log(INFO, [0xff, 0xfe, 0xfd].as_ptr() as usize, 3)),
    ("text_beyond_memory", |_| log(INFO, usize::MAX - 8, 64)),
    ("text_without_end", |_| log(INFO, 0, usize::MAX)),
    ("level_that_does_not_exist", |_| log(77, 0, 0)),
    ("headers_that_share_their_text", headers_that_share_their_text),
];

const INFO: u32 = 2;

#[link(wasm_import_module = "forge:workflow/run@0.1.0")]
unsafe extern "C" {
    #[link_name = "log"]
    fn raw_log(scope: u64, level: u32, address: usize, length: usize);
}

#[link(wasm_import_module = "forge:workflow/http@0.1.0")]
unsafe extern "C" {
    #[link_name = "send"]
    fn raw_send(
        scope: u64,
        method: *const u8,
        method_length: usize,
        url: *const u8,
        url_length: usize,
        headers: *const [usize; 4],
        headers_length: usize,
        body: *const u8,
        body_length: usize,
        has_timeout: u32,
        timeout: u64,
        at_most_once: u32,
    ) -> u64;
}

fn log(level: u32, address: usize, length: usize) -> Outcome {
    time::workflow_time(BODY);
    unsafe { raw_log(BODY, level, address, length) };
    done()
}

/// 100,000 headers that share one text of 1 MiB. The guest needs less than 3 MiB, a copy in the host 200 GiB.
fn headers_that_share_their_text(url: &str) -> Outcome {
    let text = "h".repeat(1 << 20);
    let header = [text.as_ptr() as usize, text.len(), text.as_ptr() as usize, text.len()];
    let headers = vec![header; 100_000];
    unsafe {
        raw_send(
            BODY,
            "GET".as_ptr(),
            3,
            url.as_ptr(),
            url.len(),
            headers.as_ptr(),
            headers.len(),
            std::ptr::null(),
            0,
            0,
            0,
            0,
        )
    };
    done()
}
