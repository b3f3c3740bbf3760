//! The header and the library agree: every constant, function, struct and offset.

use std::collections::BTreeMap;

use crate::constants::CONSTANTS;
use crate::plan::QUESTIONS;
use crate::shape::SHAPES;
use crate::types::STRUCTS;

const HEADER: &str = include_str!("../../../include/dropblock.h");
const LAYOUT: &str = include_str!("../c/layout.c");

const SOURCES: [&str; 10] = [
    include_str!("../../src/backend.rs"),
    include_str!("../../src/dilation.rs"),
    include_str!("../../src/mask.rs"),
    include_str!("../../src/options.rs"),
    include_str!("../../src/passes.rs"),
    include_str!("../../src/plan.rs"),
    include_str!("../../src/schedule.rs"),
    include_str!("../../src/shape.rs"),
    include_str!("../../src/stages.rs"),
    include_str!("../../src/status.rs"),
];

/// The statements of the header: without comments, lines for the preprocessor, and what lies in
/// braces of `extern "C"`.
fn statements() -> Vec<String> {
    let mut text = String::new();
    let mut rest = HEADER;
    while let Some((before, after)) = rest.split_once("/*") {
        text += before;
        rest = after.split_once("*/").expect("a comment ends").1;
    }
    text += rest;
    let text = text.replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("extern"));
    let (mut statements, mut statement, mut depth) = (Vec::new(), String::new(), 0);
    for c in lines.flat_map(|line| line.chars().chain([' '])) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            depth = 0; // the end of `extern "C"`
        } else if c == ';' && depth == 0 {
            statements.push(statement.split_whitespace().collect::<Vec<_>>().join(" "));
            statement.clear();
        } else {
            statement.push(c);
        }
    }
    assert_eq!(statement.trim(), "", "the header ends with a statement");
    statements
}

/// Name, and type without spaces, of `const void *x`.
fn declared(text: &str) -> (String, String) {
    let text = text.trim();
    let array = text.find('[').unwrap_or(text.len());
    let (text, array) = text.split_at(array);
    let start = text.rfind(|c: char| !c.is_alphanumeric() && c != '_').expect("type and name") + 1;
    let (kind, name) = text.split_at(start);
    (name.into(), kind.replace(' ', "") + array)
}

/// The C type of a Rust type, without spaces.
fn c_type(rust: &str) -> String {
    let rust = rust.trim();
    if let Some(inner) = rust.strip_prefix("*const ") {
        return format!("const{}*", c_type(inner));
    }
    if let Some(inner) = rust.strip_prefix("*mut ") {
        return format!("{}*", c_type(inner));
    }
    if let Some(inner) = rust.strip_prefix("Option<") {
        return inner.trim_end_matches('>').into();
    }
    if let Some((inner, len)) = rust.strip_prefix('[').and_then(|rust| rust.split_once(';')) {
        return format!("{}[{}", c_type(inner), len.trim());
    }
    match rust {
        "u8" => "uint8_t",
        "u32" => "uint32_t",
        "u64" => "uint64_t",
        "usize" => "size_t",
        "isize" => "ptrdiff_t",
        "f32" => "float",
        "f64" => "double",
        "c_void" => "void",
        "c_char" => "char",
        other => other,
    }
    .into()
}

type Signature = (String, Vec<(String, String)>);

fn functions_of_the_header() -> BTreeMap<String, Signature> {
    let mut functions = BTreeMap::new();
    for statement in statements() {
        if statement.starts_with("typedef") {
            continue;
        }
        let (head, arguments) = statement.split_once('(').expect("a function");
        let arguments = arguments.strip_suffix(')').expect("a closed list");
        let (name, result) = declared(head);
        let arguments = match arguments {
            "void" => Vec::new(),
            _ => arguments.split(',').map(declared).collect(),
        };
        assert!(functions.insert(name, (result, arguments)).is_none());
    }
    functions
}

/// Names and C types of arguments in Rust.
fn arguments_of(list: &str) -> Vec<(String, String)> {
    list.split(',')
        .filter(|argument| !argument.trim().is_empty())
        .map(|argument| {
            let (name, kind) = argument.split_once(':').expect("name and type");
            (name.trim().into(), c_type(kind))
        })
        .collect()
}

fn functions_of_the_library() -> BTreeMap<String, Signature> {
    let mut functions = BTreeMap::new();
    for source in SOURCES {
        for part in source.split("interface! {").skip(1) {
            let (_, part) = part.split_once(" fn ").expect("a function");
            let (head, _) = part.split_once(") {").expect("a body");
            let (name, arguments) = head.split_once('(').expect("a list");
            let (_, arguments) = arguments.split_once("caller,").expect("the caller comes first");
            let mut arguments = arguments_of(arguments);
            arguments.push(("error".into(), "dropblock_error*".into()));
            let signature = ("dropblock_status".into(), arguments);
            assert!(functions.insert(name.into(), signature).is_none());
        }
        for part in source.split("extern \"C\" fn ").skip(1) {
            let (head, _) = part.split_once(" {").expect("a body");
            if head.starts_with('$') {
                continue; // of a macro, which lists its functions
            }
            let (name, rest) = head.split_once('(').expect("a list");
            let (arguments, result) = rest.rsplit_once(") -> ").expect("a result");
            let signature = (c_type(result), arguments_of(arguments));
            assert!(functions.insert(name.into(), signature).is_none());
        }
    }
    let argument = |name: &str, kind: &str| (name.into(), c_type(kind));
    for (name, sizes) in SHAPES {
        let mut arguments = vec![argument("shape", "*mut dropblock_shape")];
        arguments.extend(sizes.iter().map(|size| argument(size, "usize")));
        assert!(functions.insert((*name).into(), ("dropblock_status".into(), arguments)).is_none());
    }
    for (name, result) in QUESTIONS {
        let arguments = vec![argument("plan", "*const dropblock_plan")];
        assert!(functions.insert((*name).into(), (c_type(result), arguments)).is_none());
    }
    functions
}

#[test]
fn functions_agree() {
    let (header, library) = (functions_of_the_header(), functions_of_the_library());
    for (name, signature) in &header {
        assert_eq!(Some(signature), library.get(name), "{name}: header, library");
    }
    assert_eq!(header.len(), library.len(), "functions that the header does not declare");
    // Three are written in macros.
    let exported: usize = SOURCES
        .iter()
        .map(|source| {
            source.matches("unsafe(no_mangle)").count() + source.matches("interface! {").count()
        })
        .sum();
    assert_eq!(exported - 3 + SHAPES.len() + QUESTIONS.len(), library.len());
    for callback in [
        "typedef uint32_t (*dropblock_draw_bits)(void *context);",
        "typedef void (*dropblock_visit)(void *context, const dropblock_map_part *part);",
    ] {
        assert!(HEADER.contains(callback), "{callback}");
    }
}

#[test]
fn constants_agree() {
    let mut header = BTreeMap::new();
    for line in HEADER.lines() {
        let mut words = line.split_whitespace();
        if words.next() == Some("#define")
            && let (Some(name), Some(value)) = (words.next(), words.next())
            && let Ok(value) = value.parse::<u32>()
        {
            assert!(header.insert(name, value).is_none(), "{name} twice");
        }
    }
    assert_eq!(header, CONSTANTS.iter().copied().collect());
}

#[test]
fn numbers_have_32_bits() {
    for statement in statements() {
        let Some(rest) = statement.strip_prefix("typedef uint32_t dropblock_") else { continue };
        let alias = include_str!("../../src/types.rs").split_once("numbers! {").expect("a list").1;
        let (alias, _) = alias.split_once('}').expect("an end");
        let name = format!("dropblock_{rest}");
        assert!(alias.split_whitespace().any(|each| each == name), "{name}");
    }
}

#[test]
fn structs_agree() {
    let mut header = BTreeMap::new();
    for statement in statements() {
        let Some(rest) = statement.strip_prefix("typedef struct ") else { continue };
        let Some((name, rest)) = rest.split_once(" {") else { continue };
        let (fields, _) = rest.rsplit_once('}').expect("an end");
        let fields = fields.split(';').filter(|field| !field.trim().is_empty());
        header.insert(name.to_string(), fields.map(declared).collect::<Vec<_>>());
    }
    for (name, _, fields) in STRUCTS {
        let field = |&(name, kind, _): &(&str, &str, usize)| {
            (name.trim_start_matches("r#").into(), c_type(kind))
        };
        let fields: Vec<(String, String)> = fields.iter().map(field).collect();
        assert_eq!(header.remove(*name), Some(fields), "{name}");
    }
    assert!(header.is_empty(), "{header:?}");
}

/// The C compiler holds `layout.c` against the header; this holds the library against `layout.c`.
#[cfg(target_pointer_width = "64")]
#[test]
fn layouts_agree() {
    let line = |line: &str| LAYOUT.lines().any(|each| each == line);
    for (name, size, fields) in STRUCTS {
        assert!(line(&format!("SIZE({name}, {size});")), "{name}: {size}");
        for (field, _, offset) in *fields {
            let field = field.trim_start_matches("r#");
            let wanted = format!("FIELD({name}, {field}, {offset});");
            assert!(line(&wanted), "{wanted}");
        }
    }
}
