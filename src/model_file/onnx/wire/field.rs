//! The wire format of Protocol Buffers: a message is a row of numbered fields, and nothing is believed that the bytes
//! don't hold.

/// Why some bytes are no message. The place grows outwards, from an attribute to its node.
#[derive(Debug)]
pub(super) struct Fault {
    pub place: String,
    /// Counted from the file's first byte; none where what is refused was read without a fault.
    pub at: Option<usize>,
    pub problem: String,
}

impl Fault {
    /// Something whole that is refused all the same.
    pub fn refused(problem: impl Into<String>) -> Fault {
        Fault { place: String::new(), at: None, problem: problem.into() }
    }

    fn at(at: usize, problem: impl Into<String>) -> Fault {
        Fault { place: String::new(), at: Some(at), problem: problem.into() }
    }

    /// The same fault, inside `place`.
    pub fn inside(mut self, place: impl Into<String>) -> Fault {
        let outer = place.into();
        self.place = if self.place.is_empty() { outer } else { format!("{outer}, {}", self.place) };
        self
    }

    /// The place in words: `node 12 (conv1), attribute pads, byte 4096`.
    pub fn whole_place(&self) -> String {
        match self.at {
            Some(at) if self.place.is_empty() => format!("byte {at}"),
            Some(at) => format!("{}, byte {at}", self.place),
            None if self.place.is_empty() => "file".into(),
            None => self.place.clone(),
        }
    }
}

/// A message whose fields are read one after the other.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    rest: &'a [u8],
    /// Where `rest` begins in the file.
    at: usize,
}

/// One field of a message: its number and what it holds.
pub(super) struct Field<'a> {
    pub number: u64,
    at: usize,
    content: Content<'a>,
}

enum Content<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Message<'a>),
    Fixed32([u8; 4]),
}

impl<'a> Message<'a> {
    /// A whole file.
    pub fn new(bytes: &'a [u8]) -> Self {
        Message { rest: bytes, at: 0 }
    }

    /// The next field, or none at the end.
    pub fn field(&mut self) -> Result<Option<Field<'a>>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let at = self.at;
        let tag = self.varint()?;
        let (number, kind) = (tag >> 3, tag & 7);
        if number == 0 || number >= 1 << 29 {
            return Err(Fault::at(at, format!("a field has the number {number}, which can't be")));
        }
        let content = match kind {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(self.fixed()?),
            2 => {
                let length = self.varint()?;
                let start = self.at;
                Content::Bytes(Message { rest: self.take(length)?, at: start })
            }
            3 | 4 => return Err(Fault::at(at, format!("field {number} is a group, which ONNX doesn't use"))),
            5 => Content::Fixed32(self.fixed()?),
            _ => return Err(Fault::at(at, format!("field {number} has the wire type {kind}, which doesn't exist"))),
        };
        Ok(Some(Field { number, at, content }))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Fault> {
        let taken = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((taken, rest)) = taken else {
            let problem =
                format!("{length} bytes should follow and {} do: the file is cut off or damaged", self.rest.len());
            return Err(Fault::at(self.at, problem));
        };
        self.rest = rest;
        self.at += taken.len();
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        Ok(self.take(N as u64)?.try_into().expect("invariant: so many bytes were taken"))
    }

    /// A number in groups of seven bits, the lowest first.
    fn varint(&mut self) -> Result<u64, Fault> {
        let at = self.at;
        let mut value = 0;
        for place in 0..10 {
            let [byte] = self.fixed()?;
            if place == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 127) << (7 * place);
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(Fault::at(at, "a number has more than 64 bits"))
    }
}

impl<'a> Field<'a> {
    fn wrong(&self, expected: &str) -> Fault {
        let found = match self.content {
            Content::Varint(_) => "an integer",
            Content::Fixed64(_) => "a 64-bit number",
            Content::Bytes(_) => "bytes",
            Content::Fixed32(_) => "a 32-bit number",
        };
        Fault::at(self.at, format!("field {} holds {found} where {expected} should be", self.number))
    }

    /// A message inside the message.
    pub fn message(&self) -> Result<Message<'a>, Fault> {
        match self.content {
            Content::Bytes(message) => Ok(message),
            _ => Err(self.wrong("a message")),
        }
    }

    pub fn bytes(&self) -> Result<&'a [u8], Fault> {
        match self.content {
            Content::Bytes(message) => Ok(message.rest),
            _ => Err(self.wrong("bytes")),
        }
    }

    pub fn text(&self) -> Result<&'a str, Fault> {
        let Content::Bytes(message) = self.content else { return Err(self.wrong("text")) };
        str::from_utf8(message.rest).map_err(|e| {
            Fault::at(message.at + e.valid_up_to(), format!("the text of field {} is not UTF-8", self.number))
        })
    }

    /// A signed integer: negative ones are written as their two's complement in 64 bits.
    pub fn int(&self) -> Result<i64, Fault> {
        match self.content {
            Content::Varint(value) => Ok(value.cast_signed()),
            _ => Err(self.wrong("an integer")),
        }
    }

    pub fn float(&self) -> Result<f32, Fault> {
        match self.content {
            Content::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.wrong("a 32-bit number")),
        }
    }

    /// Integers of a repeated field, one by one or packed.
    pub fn unsigned(&self, into: &mut Vec<u64>) -> Result<(), Fault> {
        match self.content {
            Content::Varint(value) => into.push(value),
            Content::Bytes(mut packed) => {
                while !packed.rest.is_empty() {
                    into.push(packed.varint()?);
                }
            }
            _ => return Err(self.wrong("integers")),
        }
        Ok(())
    }

    /// The same for signed integers.
    pub fn ints(&self, into: &mut Vec<i64>) -> Result<(), Fault> {
        match self.content {
            Content::Varint(value) => into.push(value.cast_signed()),
            Content::Bytes(mut packed) => {
                while !packed.rest.is_empty() {
                    into.push(packed.varint()?.cast_signed());
                }
            }
            _ => return Err(self.wrong("integers")),
        }
        Ok(())
    }

    /// 32-bit numbers of a repeated field, one by one or packed.
    pub fn floats(&self, into: &mut Vec<f32>) -> Result<(), Fault> {
        match self.content {
            Content::Fixed32(bytes) => into.push(f32::from_le_bytes(bytes)),
            Content::Bytes(packed) => into.extend(self.packed(packed)?.iter().map(|&bytes| f32::from_le_bytes(bytes))),
            _ => return Err(self.wrong("32-bit numbers")),
        }
        Ok(())
    }

    /// 64-bit numbers of a repeated field, one by one or packed.
    pub fn doubles(&self, into: &mut Vec<f64>) -> Result<(), Fault> {
        match self.content {
            Content::Fixed64(bytes) => into.push(f64::from_le_bytes(bytes)),
            Content::Bytes(packed) => into.extend(self.packed(packed)?.iter().map(|&bytes| f64::from_le_bytes(bytes))),
            _ => return Err(self.wrong("64-bit numbers")),
        }
        Ok(())
    }

    fn packed<const N: usize>(&self, packed: Message<'a>) -> Result<&'a [[u8; N]], Fault> {
        match packed.rest.as_chunks() {
            (numbers, []) => Ok(numbers),
            _ => Err(Fault::at(packed.at, format!("field {} ends in the middle of a number", self.number))),
        }
    }
}
