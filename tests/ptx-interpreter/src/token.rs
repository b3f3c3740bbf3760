//! Splits PTX text into tokens.

use crate::program::Refusal;

/// Longest name. A range of registers repeats one 65535 times.
const LONGEST: usize = 1024;

/// A token and the line it stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Line of the text, from 1.
    pub line: u32,
}

/// The kinds of tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A name, an opcode with its modifiers, a register or a directive: may begin with `.`, `%`, `$`.
    Word(String),
    /// An integer, without sign.
    Integer(u64),
    /// `0f`: the bits of a single.
    Single(u32),
    /// `0d`: the bits of a double.
    Double(u64),
    /// Text between quotation marks.
    Text,
    /// One character of punctuation.
    Mark(char),
}

/// All tokens of a text; comments are left out.
pub fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut out = Vec::new();
    let mut block = false;
    for (index, line) in text.lines().enumerate() {
        line_tokens(line, index as u32 + 1, &mut block, &mut out)?;
    }
    if block {
        return Err(Refusal::new(0, "a comment does not end"));
    }
    Ok(out)
}

fn line_tokens(
    text: &str,
    line: u32,
    block: &mut bool,
    out: &mut Vec<Token>,
) -> Result<(), Refusal> {
    let mut rest = text;
    loop {
        if *block {
            let Some(end) = rest.find("*/") else { return Ok(()) };
            rest = &rest[end + 2..];
            *block = false;
        }
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(()) };
        if rest.starts_with("//") {
            return Ok(());
        }
        if let Some(after) = rest.strip_prefix("/*") {
            rest = after;
            *block = true;
            continue;
        }
        let length;
        let kind;
        if first == '"' {
            let end = rest[1..].find('"').ok_or_else(|| refuse(line, text))?;
            length = end + 2;
            kind = Kind::Text;
        } else if first.is_ascii_digit() {
            length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            kind = number(&rest[..length]).ok_or_else(|| refuse(line, text))?;
        } else if is_word(first) {
            length = rest
                .char_indices()
                .find(|&(at, c)| at > 0 && !(is_word(c) || c.is_ascii_digit()))
                .map_or(rest.len(), |(at, _)| at);
            if length > LONGEST {
                return Err(Refusal::new(
                    line,
                    format!("a name of more than {LONGEST} characters"),
                ));
            }
            kind = Kind::Word(rest[..length].to_owned());
        } else if "{}()[]<>;:,+-=|!@".contains(first) {
            length = 1;
            kind = Kind::Mark(first);
        } else {
            return Err(refuse(line, text));
        }
        out.push(Token { kind, line });
        rest = &rest[length..];
    }
}

fn refuse(line: u32, text: &str) -> Refusal {
    Refusal::new(line, format!("cannot read `{}`", text.trim()))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphabetic() || "_$%.".contains(c)
}

fn number(text: &str) -> Option<Kind> {
    if let Some(hex) = text.strip_prefix("0f").or_else(|| text.strip_prefix("0F")) {
        return (hex.len() == 8).then(|| u32::from_str_radix(hex, 16).ok().map(Kind::Single))?;
    }
    if let Some(hex) = text.strip_prefix("0d").or_else(|| text.strip_prefix("0D")) {
        return (hex.len() == 16).then(|| u64::from_str_radix(hex, 16).ok().map(Kind::Double))?;
    }
    let text = text.strip_suffix('U').unwrap_or(text);
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok().map(Kind::Integer);
    }
    if text.len() > 1 && text.starts_with('0') {
        return u64::from_str_radix(&text[1..], 8).ok().map(Kind::Integer);
    }
    text.parse().ok().map(Kind::Integer)
}
