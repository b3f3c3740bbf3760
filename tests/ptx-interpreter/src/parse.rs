//! Reads PTX text into statements. What the statements mean is decided in `decode`.

use crate::program::Refusal;
use crate::syntax::{Function, Instruction, Module, Operand, Statement, Variable, type_bytes};
use crate::token::{Kind, Token, tokens};

/// Most bytes of a variable, more than any device has. Sums of such lengths cannot overflow.
const LARGEST: u64 = 1 << 40;
/// Largest alignment.
const LARGEST_ALIGN: u64 = 1 << 20;

/// Reads a module.
pub fn parse(text: &str) -> Result<Module, Refusal> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let mut module = Module::default();
    while parser.at < parser.tokens.len() {
        parser.top(&mut module)?;
    }
    if module.version == (0, 0) {
        return Err(Refusal::new(1, "no .version"));
    }
    if module.target == 0 {
        return Err(Refusal::new(1, "no .target"));
    }
    Ok(module)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn line(&self) -> u32 {
        let at = self.at.min(self.tokens.len().saturating_sub(1));
        self.tokens.get(at).map_or(0, |token| token.line)
    }

    fn refuse<T>(&self, what: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal::new(self.line(), what))
    }

    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn peek_mark(&self, mark: char) -> bool {
        self.peek() == Some(&Kind::Mark(mark))
    }

    fn next(&mut self) -> Result<Kind, Refusal> {
        match self.tokens.get(self.at) {
            Some(token) => {
                self.at += 1;
                Ok(token.kind.clone())
            }
            None => self.refuse("the text ends too early"),
        }
    }

    fn take(&mut self, mark: char) -> bool {
        let found = self.peek_mark(mark);
        self.at += usize::from(found);
        found
    }

    fn mark(&mut self, mark: char) -> Result<(), Refusal> {
        if self.take(mark) { Ok(()) } else { self.refuse(format!("`{mark}` expected")) }
    }

    fn word(&mut self) -> Result<String, Refusal> {
        match self.next()? {
            Kind::Word(word) => Ok(word),
            other => {
                self.at -= 1;
                self.refuse(format!("a name expected, not {other:?}"))
            }
        }
    }

    fn integer(&mut self) -> Result<u64, Refusal> {
        let negative = self.take('-');
        match self.next()? {
            Kind::Integer(value) => Ok(if negative { value.wrapping_neg() } else { value }),
            other => {
                self.at -= 1;
                self.refuse(format!("an integer expected, not {other:?}"))
            }
        }
    }

    fn top(&mut self, module: &mut Module) -> Result<(), Refusal> {
        let line = self.line();
        let word = self.word()?;
        match word.as_str() {
            // `6.3` is read as `6` and `.3`, which is no number: see below.
            ".version" => {
                let major = self.integer()? as u32;
                let minor = self.word()?;
                let minor = minor.strip_prefix('.').and_then(|text| text.parse().ok());
                let Some(minor) = minor else { return self.refuse("a version expected") };
                module.version = (major, minor);
            }
            ".target" => {
                let target = self.word()?;
                let Some(number) = target.strip_prefix("sm_").and_then(|text| text.parse().ok())
                else {
                    return self.refuse(format!("target {target} is not known"));
                };
                module.target = number;
            }
            ".address_size" => {
                if self.integer()? != 64 {
                    return self.refuse("only 64-bit addresses are supported");
                }
            }
            ".visible" | ".extern" | ".weak" => {
                let following = self.word()?;
                self.declaration(module, following, line)?;
            }
            _ => self.declaration(module, word, line)?,
        }
        Ok(())
    }

    fn declaration(&mut self, module: &mut Module, word: String, line: u32) -> Result<(), Refusal> {
        match word.as_str() {
            ".entry" | ".func" => {
                let function = self.function(word == ".entry", line)?;
                module.functions.push(function);
            }
            ".global" | ".const" | ".shared" => {
                let variable = self.variable(&word[1..], line)?;
                self.mark(';')?;
                module.variables.push(variable);
            }
            _ => return Err(Refusal::new(line, format!("directive `{word}` is not supported"))),
        }
        Ok(())
    }

    fn function(&mut self, entry: bool, line: u32) -> Result<Function, Refusal> {
        let mut returns = Vec::new();
        if self.peek_mark('(') {
            returns = self.params()?;
        }
        let name = self.word()?;
        let params = if self.peek_mark('(') { self.params()? } else { Vec::new() };
        let (mut max_threads, mut required_threads) = (None, None);
        while let Some(Kind::Word(word)) = self.peek().cloned() {
            self.at += 1;
            match word.as_str() {
                ".maxntid" | ".reqntid" => {
                    let mut threads = self.integer()?;
                    while self.take(',') {
                        // No block is so large, whatever follows.
                        threads = threads.saturating_mul(self.integer()?);
                    }
                    let limit =
                        if word == ".maxntid" { &mut max_threads } else { &mut required_threads };
                    *limit = Some(threads);
                }
                ".minnctapersm" | ".maxnreg" => {
                    self.integer()?;
                }
                ".noreturn" => {}
                _ => {
                    self.at -= 1;
                    return self.refuse(format!("directive `{word}` is not supported"));
                }
            }
        }
        let body = if self.take(';') { None } else { Some(self.body()?) };
        Ok(Function { name, entry, returns, params, max_threads, required_threads, body, line })
    }

    fn params(&mut self) -> Result<Vec<Variable>, Refusal> {
        let mut params = Vec::new();
        self.mark('(')?;
        while !self.take(')') {
            if !params.is_empty() {
                self.mark(',')?;
            }
            let line = self.line();
            let word = self.word()?;
            if word != ".param" {
                return self.refuse(format!("`.param` expected, not `{word}`"));
            }
            params.push(self.variable("param", line)?);
        }
        Ok(params)
    }

    /// A declaration after its space: `.align 4 .b8 name[16] = {..}`.
    fn variable(&mut self, space: &str, line: u32) -> Result<Variable, Refusal> {
        let mut align = None;
        let mut lanes = 1;
        let element = loop {
            let word = self.word()?;
            match word.as_str() {
                ".align" => align = Some(self.integer()?),
                ".v2" => lanes = 2,
                ".v4" => lanes = 4,
                // Hints about what a pointer parameter points to.
                ".ptr" | ".global" if space == "param" => {}
                _ => match word.strip_prefix('.').and_then(type_bytes) {
                    Some(bytes) => break bytes,
                    None => return self.refuse(format!("type `{word}` is not known")),
                },
            }
        };
        if matches!(self.peek(), Some(Kind::Word(word)) if word == ".ptr") {
            self.at += 1;
            while let Some(Kind::Word(word)) = self.peek() {
                match word.as_str() {
                    ".global" | ".shared" | ".const" | ".local" => self.at += 1,
                    ".align" => {
                        self.at += 1;
                        self.integer()?;
                    }
                    _ => break,
                }
            }
        }
        let name = self.word()?;
        let mut count = lanes;
        let mut dynamic = false;
        while self.take('[') {
            if self.take(']') {
                dynamic = true;
                count = 0;
            } else {
                count = u64::saturating_mul(count, self.integer()?);
                self.mark(']')?;
            }
        }
        let bytes = count.saturating_mul(element);
        if bytes > LARGEST {
            return self.refuse(format!("a variable of more than {LARGEST} bytes"));
        }
        let align = align.unwrap_or(element * lanes);
        if !align.is_power_of_two() {
            return self.refuse(format!("alignment {align} is no power of two"));
        }
        if align > LARGEST_ALIGN {
            return self.refuse(format!("an alignment of more than {LARGEST_ALIGN}"));
        }
        let values = if self.take('=') { Some(self.values(element, bytes)?) } else { None };
        let space = space.to_owned();
        Ok(Variable { name, space, align, bytes, values, dynamic, line })
    }

    fn values(&mut self, element: u64, bytes: u64) -> Result<Vec<u8>, Refusal> {
        let mut values = Vec::new();
        let braces = self.take('{');
        loop {
            let negative = self.take('-');
            let value = match self.next()? {
                Kind::Integer(value) if negative => value.wrapping_neg(),
                Kind::Integer(value) => value,
                Kind::Single(bits) if element == 4 && !negative => bits.into(),
                Kind::Double(bits) if element == 8 && !negative => bits,
                other => {
                    self.at -= 1;
                    return self.refuse(format!("a value expected, not {other:?}"));
                }
            };
            values.extend_from_slice(&value.to_le_bytes()[..element as usize]);
            if !braces || !self.take(',') {
                break;
            }
        }
        if braces {
            self.mark('}')?;
        }
        if values.len() as u64 > bytes {
            return self.refuse("more values than the variable holds");
        }
        Ok(values)
    }

    fn body(&mut self) -> Result<Vec<Statement>, Refusal> {
        self.mark('{')?;
        let mut depth = 1;
        let mut out = Vec::new();
        loop {
            if self.take('{') {
                depth += 1;
                out.push(Statement::Open);
                continue;
            }
            if self.take('}') {
                depth -= 1;
                if depth == 0 {
                    return Ok(out);
                }
                out.push(Statement::Close);
                continue;
            }
            let line = self.line();
            let guard = if self.take('@') {
                let negated = self.take('!');
                Some((self.word()?, negated))
            } else {
                None
            };
            let word = self.word()?;
            if guard.is_none() && self.take(':') {
                out.push(self.label(word)?);
            } else if guard.is_none() && word.starts_with('.') {
                self.directive(&word, line, &mut out)?;
            } else {
                out.push(Statement::Instruction(self.instruction(word, guard, line)?));
            }
        }
    }

    fn label(&mut self, name: String) -> Result<Statement, Refusal> {
        if !matches!(self.peek(), Some(Kind::Word(word)) if word == ".branchtargets") {
            return Ok(Statement::Label(name));
        }
        self.at += 1;
        let mut targets = vec![self.word()?];
        while self.take(',') {
            targets.push(self.word()?);
        }
        self.mark(';')?;
        Ok(Statement::Targets(name, targets))
    }

    fn directive(
        &mut self,
        word: &str,
        line: u32,
        out: &mut Vec<Statement>,
    ) -> Result<(), Refusal> {
        match word {
            ".reg" => {
                let class = self.word()?;
                let class = class.trim_start_matches('.').to_owned();
                let mut names = Vec::new();
                loop {
                    let name = self.word()?;
                    if self.take('<') {
                        let number = self.integer()? as u32;
                        self.mark('>')?;
                        out.push(Statement::RegisterRange(class.clone(), name, number));
                    } else {
                        names.push(name);
                    }
                    if !self.take(',') {
                        break;
                    }
                }
                if !names.is_empty() {
                    out.push(Statement::Registers(class, names));
                }
            }
            ".shared" | ".local" | ".param" => {
                let variable = self.variable(&word[1..], line)?;
                out.push(Statement::Variable(variable));
            }
            ".pragma" => {
                self.next()?;
            }
            _ => return Err(Refusal::new(line, format!("directive `{word}` is not supported"))),
        }
        self.mark(';')
    }

    fn instruction(
        &mut self,
        word: String,
        guard: Option<(String, bool)>,
        line: u32,
    ) -> Result<Instruction, Refusal> {
        let opcode = word.split('.').map(str::to_owned).collect();
        let mut operands = Vec::new();
        while !self.take(';') {
            if !operands.is_empty() {
                self.mark(',')?;
            }
            operands.push(self.operand()?);
        }
        Ok(Instruction { line, guard, opcode, operands })
    }

    fn operand(&mut self) -> Result<Operand, Refusal> {
        let negative = self.take('-');
        Ok(match self.next()? {
            Kind::Integer(value) if negative => Operand::Integer(value.wrapping_neg()),
            Kind::Integer(value) => Operand::Integer(value),
            Kind::Single(bits) if !negative => Operand::Single(bits),
            Kind::Double(bits) if !negative => Operand::Double(bits),
            Kind::Word(name) if !negative => {
                if self.take('|') {
                    Operand::Pair(name, self.word()?)
                } else {
                    Operand::Name(name)
                }
            }
            Kind::Mark('!') if !negative => Operand::Not(self.word()?),
            Kind::Mark('[') if !negative => self.address()?,
            Kind::Mark('{') if !negative => Operand::Vector(self.list('}')?),
            Kind::Mark('(') if !negative => Operand::List(self.list(')')?),
            other => {
                self.at -= 1;
                return self.refuse(format!("an operand expected, not {other:?}"));
            }
        })
    }

    fn list(&mut self, end: char) -> Result<Vec<Operand>, Refusal> {
        let mut items = Vec::new();
        while !self.take(end) {
            if !items.is_empty() {
                self.mark(',')?;
            }
            // Lists of lists are no PTX, and would let the text say how much stack is used.
            if self.peek_mark('{') || self.peek_mark('(') {
                return self.refuse("a list in a list");
            }
            items.push(self.operand()?);
        }
        Ok(items)
    }

    fn address(&mut self) -> Result<Operand, Refusal> {
        let address = if matches!(self.peek(), Some(Kind::Word(_))) {
            let base = self.word()?;
            let offset = if self.take('+') || self.peek_mark('-') { self.integer()? } else { 0 };
            Operand::Address(Some(base), offset as i64)
        } else {
            Operand::Address(None, self.integer()? as i64)
        };
        self.mark(']')?;
        Ok(address)
    }
}
