//! Writes what serde is told of a value, with what JSON does not distinguish: `None`, `()` and `Some(())`, and
//! the floating-point numbers that JSON does not have.
//!
//! `n` is `None`, `u` is `()`, `?` comes before the value in `Some`, `btrue;` is `true`, `i7;` an integer of any
//! type, `f1.5;` a floating-point number, `s2:ab` a text or a character, `[..]` a sequence, and `{..}` a map of
//! keys and values. Structs and variants are written as the maps that they are in JSON.

use std::fmt::{Display, Write as _};

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::path::{Part, Path};

/// The most levels of nesting that serde_json reads.
pub(super) const MOST_NESTED: usize = 127;

/// The reason why a value cannot be written.
#[derive(Debug)]
pub(super) enum Error {
    /// The value at this path is nested too deeply.
    TooDeep(Path),
    /// The value's type refuses it.
    Custom(String),
}

/// Writes a value.
pub(super) fn write<T: Serialize>(value: &T) -> Result<String, Error> {
    let mut writer = Writer::default();
    match value.serialize(&mut writer) {
        Err(Error::TooDeep(mut path)) => {
            // Each level added itself behind those inside it.
            path.0.reverse();
            Err(Error::TooDeep(path))
        }
        written => written.map(|()| writer.text),
    }
}

#[derive(Default)]
struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn scalar(&mut self, tag: char, value: impl Display) -> Result<(), Error> {
        // Writing to a string cannot fail.
        _ = write!(self.text, "{tag}{value};");
        Ok(())
    }

    fn float(&mut self, value: f64) -> Result<(), Error> {
        self.scalar('f', format_args!("{value:?}"))
    }

    fn string(&mut self, value: &str) -> Result<(), Error> {
        _ = write!(self.text, "s{}:{value}", value.len());
        Ok(())
    }

    fn open(&mut self, bracket: char) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MOST_NESTED {
            return Err(Error::TooDeep(Path::default()));
        }
        self.text.push(bracket);
        Ok(())
    }

    fn close(&mut self, bracket: char) {
        self.depth -= 1;
        self.text.push(bracket);
    }
}

/// A sequence or a map that is being written. Of a variant, the map around it, too.
struct Compound<'w> {
    writer: &'w mut Writer,
    /// The number of elements so far.
    index: usize,
    /// The last key of a map.
    key: String,
    close: char,
    variant: Option<&'static str>,
}

impl<'w> Compound<'w> {
    fn new(writer: &'w mut Writer, open: char, variant: Option<&'static str>) -> Result<Self, Error> {
        if let Some(variant) = variant {
            writer.open('{')?;
            writer.string(variant)?;
        }
        let close = if open == '[' { ']' } else { '}' };
        let opened = writer.open(open).map_err(|error| of_variant(error, variant));
        opened.map(|()| Compound { writer, index: 0, key: String::new(), close, variant })
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let (index, variant) = (self.index, self.variant);
        self.index += 1;
        let written = value.serialize(&mut *self.writer);
        written.map_err(|error| of_variant(within(error, || Part::Index(index)), variant))
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        self.writer.string(key)?;
        let written = value.serialize(&mut *self.writer);
        written.map_err(|error| of_variant(within(error, || Part::Key(key.to_owned())), self.variant))
    }

    fn finish(self) -> Result<(), Error> {
        self.writer.close(self.close);
        if self.variant.is_some() {
            self.writer.close('}');
        }
        Ok(())
    }
}

/// Adds a part to the path of an error.
fn within(error: Error, part: impl FnOnce() -> Part) -> Error {
    match error {
        Error::TooDeep(mut path) => {
            path.0.push(part());
            Error::TooDeep(path)
        }
        custom @ Error::Custom(_) => custom,
    }
}

fn of_variant(error: Error, variant: Option<&str>) -> Error {
    match variant {
        Some(variant) => within(error, || Part::Key(variant.to_owned())),
        None => error,
    }
}

impl serde::ser::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Error::Custom(message.to_string())
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::TooDeep(path) => write!(f, "{} is nested too deeply", path.show()),
            Error::Custom(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

macro_rules! integers {
    ($($function:ident $type:ty)+) => {
        $(
            fn $function(self, value: $type) -> Result<(), Error> {
                self.scalar('i', value)
            }
        )+
    };
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'w>;
    type SerializeTuple = Compound<'w>;
    type SerializeTupleStruct = Compound<'w>;
    type SerializeTupleVariant = Compound<'w>;
    type SerializeMap = Compound<'w>;
    type SerializeStruct = Compound<'w>;
    type SerializeStructVariant = Compound<'w>;

    integers! {
        serialize_i8 i8
        serialize_i16 i16
        serialize_i32 i32
        serialize_i64 i64
        serialize_i128 i128
        serialize_u8 u8
        serialize_u16 u16
        serialize_u32 u32
        serialize_u64 u64
        serialize_u128 u128
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.scalar('b', value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.float(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.float(value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.string(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.string(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        // JSON has them as numbers.
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.text.push('n');
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.text.push('?');
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.text.push('u');
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.string(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut map = Compound::new(self, '{', None)?;
        map.field(variant, value)?;
        map.finish()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'w>, Error> {
        Compound::new(self, '[', None)
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'w>, Error> {
        Compound::new(self, '[', None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'w>, Error> {
        Compound::new(self, '[', None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>, Error> {
        Compound::new(self, '[', Some(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'w>, Error> {
        Compound::new(self, '{', None)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'w>, Error> {
        Compound::new(self, '{', None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>, Error> {
        Compound::new(self, '{', Some(variant))
    }
}

/// The traits of sequences, and those of structs, differ only in names.
macro_rules! compounds {
    ($($trait:ident $function:ident $($key:ident)?;)+) => {
        $(
            impl $trait for Compound<'_> {
                type Ok = ();
                type Error = Error;

                fn $function<T: Serialize + ?Sized>(
                    &mut self,
                    $($key: &'static str,)?
                    value: &T,
                ) -> Result<(), Error> {
                    compounds!(@ self value $($key)?)
                }

                fn end(self) -> Result<(), Error> {
                    self.finish()
                }
            }
        )+
    };
    (@ $self:ident $value:ident) => { $self.element($value) };
    (@ $self:ident $value:ident $key:ident) => { $self.field($key, $value) };
}

compounds! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
    SerializeStruct serialize_field key;
    SerializeStructVariant serialize_field key;
}

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let start = self.writer.text.len();
        key.serialize(&mut *self.writer)?;
        self.key = self.writer.text[start..].to_owned();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let written = value.serialize(&mut *self.writer);
        let key = self.key.split_once(':').map_or(self.key.as_str(), |(_, text)| text);
        written.map_err(|error| within(error, || Part::Key(key.to_owned())))
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}
