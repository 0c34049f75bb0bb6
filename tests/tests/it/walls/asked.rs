//! What can be asked, by the document: each operation with each of its parameters and the ids of its body.
//! A parameter, an address or a body that nobody here knows fails the test: say whose it can be.

use reqwest::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::ids::Ids;

/// Whose token an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Anybody,
    Core,
    Person,
}

/// One operation of the document, with some of what it may be given.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) method: Method,
    /// With its parameters in braces.
    pub(super) path: String,
    pub(super) caller: Caller,
    query: Vec<String>,
    headers: Vec<String>,
    /// What of these it need not have.
    optional: Option<String>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    None,
    Picture,
    /// As the schema demands, and the property that a path of names leads to.
    Json {
        schema: Value,
        property: Vec<String>,
    },
}

/// A question about somebody.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<(&'static str, Vec<u8>)>,
    /// What of theirs went along.
    pub(super) sent: Vec<String>,
}

impl Question {
    /// Whether the address itself says whose it is.
    pub(super) fn names_organization(&self) -> bool {
        self.path.contains("{org}")
    }

    /// Whether a part of an organization is named behind it.
    pub(super) fn names_id(&self) -> bool {
        self.path.contains("{id}")
    }

    /// Whether it has nothing but what it must have.
    pub(super) fn is_plain(&self) -> bool {
        let has_more = matches!(&self.body, Body::Json { property, .. } if !property.is_empty());
        self.optional.is_none() && !has_more
    }

    pub(super) fn shown(&self) -> String {
        let body = match &self.body {
            Body::Json { property, .. } => property.join("."),
            Body::Picture | Body::None => String::new(),
        };
        let extras = [self.query.join("&"), self.headers.join(","), body].join(" ");
        format!("{} {} {}", self.method, self.path, extras.trim())
    }

    /// The question with `organization` in its path, and everything else of `ids`.
    pub(super) fn about(&self, organization: Uuid, ids: &Ids, document: &Value) -> Asked {
        let mut sent = vec![organization.to_string()];
        let mut take = |path: &str, name: &str| {
            let (value, is_theirs) = ids.value(path, name);
            if is_theirs {
                sent.push(value.clone());
            }
            value
        };
        let mut path = String::new();
        for segment in self.path.split('/').skip(1) {
            let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
            path.push('/');
            match name {
                Some("org") => path.push_str(&organization.to_string()),
                Some(name) => path.push_str(&take(&self.path, name)),
                None => path.push_str(segment),
            }
        }
        for (place, name) in self.query.iter().enumerate() {
            path.push(if place == 0 { '?' } else { '&' });
            path.push_str(&format!("{name}={}", take(&self.path, name)));
        }
        let headers =
            self.headers.iter().map(|name| (name.clone(), take(&self.path, name))).collect();
        let body = match &self.body {
            Body::None => None,
            Body::Picture => Some(("image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec())),
            Body::Json { schema, property } => {
                let mut value = |name: &str| take(&self.path, name);
                let made = object(document, schema, property, &mut value);
                Some(("application/json", made.to_string().into_bytes()))
            }
        };
        Asked { path, headers, body, sent }
    }
}

/// Everything that the document lists.
pub(super) fn questions(document: &Value) -> Vec<Question> {
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let method: Method = method.to_uppercase().parse().expect("a method");
            all.extend(questions_of(document, method, path, operation));
        }
    }
    all
}

fn questions_of(document: &Value, method: Method, path: &str, operation: &Value) -> Vec<Question> {
    let named = |place: &str, only_required: bool| -> Vec<String> {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let fit = parameters.filter(|parameter| {
            parameter["in"] == place && (!only_required || parameter["required"] == true)
        });
        fit.map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect()
    };
    let content = &operation["requestBody"]["content"];
    let schema = &content["application/json"]["schema"];
    let body = match (content.is_null(), schema.is_null()) {
        (true, _) => Body::None,
        (false, true) => Body::Picture,
        (false, false) => Body::Json { schema: schema.clone(), property: Vec::new() },
    };
    let plain = Question {
        method,
        path: path.to_owned(),
        caller: caller(operation),
        query: named("query", true),
        headers: Vec::new(),
        optional: None,
        body,
    };
    let mut all = vec![plain.clone()];
    for name in named("query", false).into_iter().filter(|name| !plain.query.contains(name)) {
        let mut more = Question { optional: Some(name.clone()), ..plain.clone() };
        more.query.push(name);
        all.push(more);
    }
    for name in named("header", false) {
        let optional = Some(name.clone());
        all.push(Question { headers: vec![name], optional, ..plain.clone() });
    }
    if let Body::Json { schema, .. } = &plain.body {
        for property in ids_in(document, schema, &[]) {
            let body = Body::Json { schema: schema.clone(), property };
            all.push(Question { body, ..plain.clone() });
        }
    }
    all
}

fn caller(operation: &Value) -> Caller {
    let schemes = operation["security"].as_array();
    let has = |scheme: &str| schemes.is_some_and(|all| all.iter().any(|s| !s[scheme].is_null()));
    match schemes {
        None => Caller::Person,
        Some(_) if has("service_key") => Caller::Core,
        Some(all) if all.iter().any(|one| one == &json!({})) => Caller::Anybody,
        Some(all) => panic!("{all:?}: say who calls with that"),
    }
}

/// A schema without its references, and without the alternative of being null.
fn resolved<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    loop {
        let not_null = |one: &&Value| one["type"] != "null";
        if let Some(reference) = schema["$ref"].as_str() {
            schema = document.pointer(&reference[1..]).expect("references lead somewhere");
        } else if let Some(one) =
            schema["oneOf"].as_array().and_then(|all| all.iter().find(not_null))
        {
            schema = one;
        } else {
            return schema;
        }
    }
}

/// The paths to every property that names something.
fn ids_in(document: &Value, schema: &Value, before: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let schema = resolved(document, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let property = resolved(document, property);
        let path = [before, std::slice::from_ref(name)].concat();
        let is_id = name == "id" || name.ends_with("_id") || name.ends_with("_ids");
        if is_id || property["format"] == "uuid" || property["items"]["format"] == "uuid" {
            found.push(path);
        } else {
            found.extend(ids_in(document, property, &path));
        }
    }
    found
}

/// What the schema demands, and `property`.
fn object(
    document: &Value,
    schema: &Value,
    property: &[String],
    value: &mut dyn FnMut(&str) -> String,
) -> Value {
    let schema = resolved(document, schema);
    let demanded = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<&str> = demanded.chain(property.first().map(String::as_str)).collect();
    let mut made = Map::new();
    for name in names {
        let rest = match property.first() {
            Some(first) if first == name => &property[1..],
            _ => &[],
        };
        let member = resolved(document, &schema["properties"][name]);
        made.insert(name.to_owned(), sample(document, name, member, rest, value));
    }
    Value::Object(made)
}

fn sample(
    document: &Value,
    name: &str,
    schema: &Value,
    property: &[String],
    value: &mut dyn FnMut(&str) -> String,
) -> Value {
    let is = |kind: &str| {
        let types = &schema["type"];
        types == kind || types.as_array().is_some_and(|all| all.iter().any(|one| one == kind))
    };
    let known = match name {
        "webhook_url" => Some(json!("https://example.com/hook")),
        "base_url" => Some(json!("https://jira.example.com")),
        "name" | "token" => Some(json!("somebody's")),
        "type" => Some(json!("notification")),
        "status" => Some(json!("cancelled")),
        _ => None,
    };
    match known {
        Some(known) => known,
        None if is("object") => object(document, schema, property, value),
        None if is("array") => json!([value(name)]),
        None if is("string") => json!(value(name)),
        None if is("boolean") => json!(true),
        None if is("integer") => json!(1),
        None => panic!("{name}: say what such a property can be: {schema}"),
    }
}
