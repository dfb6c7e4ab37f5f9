//! What is printed.

mod figure;
mod json;
mod machine;
mod table;

pub(crate) use figure::Figure;
pub(crate) use json::json_line;
pub(crate) use machine::{check_is_disk, describe};
pub(crate) use table::{markdown, text};
