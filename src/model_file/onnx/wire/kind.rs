//! Types of values.

use super::field::{Fault, Message};

/// The type of a value.
#[derive(Debug, Default)]
pub enum ValueKind<'a> {
    /// Nothing is said.
    #[default]
    Unsaid,
    /// A tensor: `TensorProto.DataType`, and the shape if its rank is known.
    Tensor { elem_type: i64, shape: Option<Vec<Length<'a>>> },
    /// A sequence, a map, …: its kind in words.
    Other(&'static str),
}

/// The length of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length<'a> {
    /// A number; some programs write 0 or -1 for an unknown one.
    Number(i64),
    Name(&'a str),
    Unknown,
}

impl<'a> ValueKind<'a> {
    pub(super) fn read(mut message: Message<'a>) -> Result<Self, Fault> {
        let mut kind = ValueKind::Unsaid;
        while let Some(field) = message.field()? {
            kind = match field.number {
                1 => Self::tensor(field.message()?)?,
                4 => ValueKind::Other("a sequence"),
                5 => ValueKind::Other("a map"),
                7 => ValueKind::Other("an opaque type"),
                8 => ValueKind::Other("a sparse tensor"),
                9 => ValueKind::Other("an optional value"),
                _ => continue,
            };
        }
        Ok(kind)
    }

    fn tensor(mut message: Message<'a>) -> Result<Self, Fault> {
        let (mut elem_type, mut shape) = (0, None);
        while let Some(field) = message.field()? {
            match field.number {
                1 => elem_type = field.int()?,
                2 => {
                    let mut lengths = Vec::new();
                    let mut message = field.message()?;
                    while let Some(field) = message.field()? {
                        if field.number == 1 {
                            lengths.push(Length::read(field.message()?)?);
                        }
                    }
                    shape = Some(lengths);
                }
                _ => {}
            }
        }
        Ok(ValueKind::Tensor { elem_type, shape })
    }
}

impl<'a> Length<'a> {
    fn read(mut message: Message<'a>) -> Result<Self, Fault> {
        let mut length = Length::Unknown;
        while let Some(field) = message.field()? {
            match field.number {
                1 => length = Length::Number(field.int()?),
                2 => length = Length::Name(field.text()?),
                _ => {}
            }
        }
        Ok(length)
    }
}
