//! Escapes text that comes from guests, tenants and servers, before it is printed or shown in a page.

use std::fmt::{self, Write as _};

use unicode_width::UnicodeWidthChar as _;

/// The maximum number of marks without a width, such as accents, after a character. Languages need up to four; more cover
/// the lines above and below.
const MOST_MARKS: usize = 8;

/// Text that is displayed with visible escapes in place of characters that control a terminal, begin a line, change the
/// direction of text, or are invisible.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printable<'t> {
    text: &'t str,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Line,
    Lines,
    Json,
    Own,
}

impl<'t> Printable<'t> {
    /// Returns text that is displayed on one line: a line break is displayed as `\n`.
    pub(crate) fn line(text: &'t str) -> Self {
        Self { text, form: Form::Line }
    }

    /// Returns text whose line breaks stay. Later lines are indented, so that none looks like a line of the program's own.
    pub(crate) fn lines(text: &'t str) -> Self {
        Self { text, form: Form::Lines }
    }

    /// Returns a JSON document that is displayed with JSON's own escapes, so that its data stays the same.
    pub(crate) fn json(text: &'t str) -> Self {
        Self { text, form: Form::Json }
    }

    /// Returns text that the program has composed. Its line breaks stay; what it contains of others must have been escaped
    /// as a line or as lines before.
    pub(crate) fn composed(text: &'t str) -> Self {
        Self { text, form: Form::Own }
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut done, mut previous, mut marks) = (0, None, 0);
        for (at, character) in self.text.char_indices() {
            marks = if character.width() == Some(0) { marks + 1 } else { 0 };
            if is_shown(character, previous) && marks <= MOST_MARKS {
                previous = Some(character);
                continue;
            }
            f.write_str(&self.text[done..at])?;
            self.form.escape(character, f)?;
            done = at + character.len_utf8();
            previous = None;
        }
        f.write_str(&self.text[done..])
    }
}

impl Form {
    fn escape(self, character: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, character) {
            (Self::Own | Self::Json, '\n') => f.write_char('\n'),
            (Self::Lines, '\n') => f.write_str("\n  "),
            // Between tokens. In a string, they are escaped already.
            (Self::Json, '\r' | '\t') => f.write_char(character),
            (Self::Json, _) => {
                character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(f, "\\u{unit:04x}"))
            }
            (Self::Own | Self::Lines, '\t') => f.write_str("    "),
            _ => write!(f, "{}", character.escape_default()),
        }
    }
}

/// Returns whether a character is displayed as it is, after the character that is displayed before it.
fn is_shown(character: char, previous: Option<char>) -> bool {
    match character {
        ' '..='~' => true,
        // Selects the form of a symbol: an emoji, or text. After a letter, it would only be invisible.
        '\u{fe0e}'..='\u{fe0f}' => previous.is_some_and(|previous| {
            !previous.is_ascii() && !previous.is_alphanumeric() && !is_invisible(previous)
        }),
        _ => !character.is_control() && !is_invisible(character),
    }
}

/// Returns whether a character is invisible, or changes the order or the lines of those around it: the characters with
/// Unicode's property `Default_Ignorable_Code_Point`, which includes the marks of direction, joiners, variation selectors
/// and tags, and the separators of lines, paragraphs and annotations.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        Printable::line(text).to_string()
    }

    #[test]
    fn untrusted_text_cannot_control_the_terminal_or_begin_a_line() {
        assert_eq!(line("a\u{1b}[2Jb\r\nc\t\u{7}\u{9b}\u{7f}"), r"a\u{1b}[2Jb\r\nc\t\u{7}\u{9b}\u{7f}");
        assert_eq!(line("a\u{85}b\u{2028}c\u{2029}d"), r"a\u{85}b\u{2028}c\u{2029}d");
        assert_eq!(Printable::lines("a\n\tb\r\n").to_string(), "a\n      b\\r\n  ");
        assert_eq!(Printable::composed("a\n\tb\r").to_string(), "a\n    b\\r");
    }

    #[test]
    fn untrusted_text_cannot_change_the_order_of_characters_or_hide_some() {
        for character in "\u{61c}\u{200e}\u{202e}\u{2066}\u{200b}\u{200d}\u{ad}\u{feff}\u{180e}\u{e0041}\u{e0101}\u{fe01}\u{3164}".chars()
        {
            let escaped = format!("a{}b", character.escape_unicode());
            assert_eq!(line(&format!("a{character}b")), escaped);
        }
        let covered = format!("a{}", "\u{301}".repeat(MOST_MARKS + 2));
        assert_eq!(line(&covered), format!("a{}\\u{{301}}\\u{{301}}", "\u{301}".repeat(MOST_MARKS)));
    }

    #[test]
    fn the_text_of_all_languages_stays() {
        for text in ["grün e\u{301}", "日本語 표 ไทย", "עברית العربية", "❤\u{fe0f} 👍🏽 → └─ ✔", "a\\b", ""]
        {
            assert_eq!(line(text), text);
        }
        assert_eq!(line("pay\u{fe0f}ment ❤\u{fe0f}\u{fe0f}"), "pay\\u{fe0f}ment ❤\u{fe0f}\\u{fe0f}");
    }

    #[test]
    fn json_stays_the_same_data() {
        let data = serde_json::json!({"a\u{202e}": "\u{e0041}\u{9b}\u{7f}\n\t\u{1b}é", "b": ["\u{2028}"]});
        for text in [data.to_string(), format!("{data:#}")] {
            let printed = Printable::json(&text).to_string();
            assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), data);
            assert!(
                printed.chars().all(|character| is_shown(character, None) || character == '\n'),
                "{printed}"
            );
        }
    }
}
