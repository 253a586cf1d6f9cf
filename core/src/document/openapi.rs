//! A description of an API (`OpenAPI` 3.0 and 3.1) to one document per operation.
//!
//! Read as a tree and not into types: descriptions in the wild have parts that no schema of the
//! format foresees, and only a dozen of its fields say something to readers.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use yaml_serde::{Mapping, Value};

use super::front_matter::is_nested;
use super::{Document, DocumentError, Page, Site, finished, unix_lines};
use crate::anchors::Anchors;
use crate::markdown;

/// Schemas inside schemas that are written out, at most.
const MAX_DEPTH: usize = 4;
/// Fields of a body that are written out, at most.
const MAX_FIELDS: usize = 60;
/// References to references that are followed, at most.
const MAX_REFERENCES: usize = 16;
/// Brackets inside brackets in YAML, with which its parser gets slow. Texts have some that nobody closes.
const MAX_NESTED: usize = 2_000;
const METHODS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What a YAML or JSON file describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Description {
    /// `OpenAPI` 3.
    OpenApi,
    /// Swagger 2, the version before.
    Swagger,
}

/// What the beginning of a file says that it is. `None`: no description of an API.
pub fn detect(head: &str) -> Option<Description> {
    let version = |key: &str| {
        let json = head.split_once(&format!("\"{key}\"")).map(|(_, rest)| rest);
        let yaml = || head.lines().find_map(|line| line.trim_start_matches('\u{feff}').strip_prefix(key));
        let value = if head.trim_start().starts_with('{') { json } else { yaml() };
        value?.trim_start().strip_prefix(':').map(|value| value.trim_start().trim_start_matches(['"', '\'']))
    };
    if version("openapi").is_some_and(|version| version.starts_with("3.")) {
        return Some(Description::OpenApi);
    }
    version("swagger").filter(|version| version.starts_with('2')).map(|_| Description::Swagger)
}

/// Reads a description: each operation with its path, `file#method-route`.
pub fn read(path: &str, source: &str, site: &Site) -> Result<Vec<(String, Page)>, DocumentError> {
    let source = unix_lines(source);
    let error = |line: Option<usize>, error: &dyn std::fmt::Display| {
        let words = error.to_string();
        let reason = words.split(" at line ").next().unwrap_or_default().to_owned();
        DocumentError::OpenApi { line: line.unwrap_or(1), reason }
    };
    let root: Value = if source.trim_start().starts_with('{') {
        serde_json::from_str(&source).map_err(|e| error(Some(e.line()), &e))?
    } else if is_nested(&source, MAX_NESTED) {
        return Err(error(None, &"too many brackets inside brackets"));
    } else {
        yaml_serde::from_str(&source).map_err(|e| error(e.location().map(|at| at.line()), &e))?
    };
    let api = Api { root: &root, path, site };
    let mut operations = Vec::new();
    for (route, item) in table(root.get("paths")) {
        let (Some(route), item) = (route.as_str(), api.resolved(item)) else { continue };
        for (method, operation) in table(Some(item)) {
            if let Some(method) = method.as_str().filter(|method| METHODS.contains(method)) {
                operations.push(api.operation(route, item, method, operation)?);
            }
        }
    }
    Ok(operations)
}

/// A description that is being read.
struct Api<'a> {
    root: &'a Value,
    path: &'a str,
    site: &'a Site,
}

/// A field of a body, as a row.
struct Field {
    name: String,
    kind: String,
    text: String,
}

impl<'a> Api<'a> {
    fn operation(
        &self,
        route: &str,
        item: &'a Value,
        method: &str,
        operation: &'a Value,
    ) -> Result<(String, Page), DocumentError> {
        let path = format!("{}#{method}-{route}", self.path);
        if flag(operation, "x-internal") || flag(item, "x-internal") {
            return Ok((path, Page::Skipped("x-internal: true")));
        }
        let tag = list(operation.get("tags")).next().and_then(Value::as_str).unwrap_or_default();
        let url = self.site.operation_url(self.path, method, route, tag, text(operation, "operationId"));
        let summary = text(operation, "summary");
        let title = format!("{} {route}", method.to_uppercase());
        let title = if summary.is_empty() { title } else { format!("{title} — {summary}") };
        let page = url.split('#').next().unwrap_or_default();
        let body = markdown::prepared(&self.body(route, item, method, operation), |link| {
            self.site.resolve(self.path, page, link)
        });
        let description = summary.to_owned();
        let document = Document {
            path: path.clone(),
            url,
            title,
            description,
            anchors: Anchors::None,
            body,
            ..Document::default()
        };
        Ok((path, Page::Document(finished(document, self.site)?)))
    }

    fn body(&self, route: &str, item: &'a Value, method: &str, operation: &'a Value) -> String {
        let address = format!("{}{route}", self.server(item, operation));
        let mut body = format!("`{} {address}`\n\n", method.to_uppercase());
        let mut add = |paragraph: &str| {
            if !paragraph.trim().is_empty() {
                body.push_str(paragraph.trim());
                body.push_str("\n\n");
            }
        };
        add(if flag(operation, "deprecated") { "**Deprecated.**" } else { "" });
        add(text(operation, "summary"));
        add(text(operation, "description"));
        let parameters = self.parameters(item, operation);
        add(&self.parameter_table(&parameters));
        let request = operation.get("requestBody").map(|request| self.resolved(request));
        let content = request.and_then(|request| table(request.get("content")).next());
        if let (Some(request), Some((kind, media))) = (request, content) {
            let needed = if flag(request, "required") { ", required" } else { "" };
            add(&format!("**Request body** ({}{needed})", scalar(kind)));
            add(text(request, "description"));
            add(&self.fields(media.get("schema")));
        }
        add(&self.responses(operation));
        add(&self.security(operation));
        add(&self.example(method, &address, &parameters, content));
        body
    }

    fn server(&self, item: &'a Value, operation: &'a Value) -> &'a str {
        let servers = [operation, item, self.root].into_iter().find_map(|owner| list(owner.get("servers")).next());
        servers.map_or("", |server| text(server, "url")).trim_end_matches('/')
    }

    /// Those of the operation hide those of its path that have their name and place.
    fn parameters(&self, item: &'a Value, operation: &'a Value) -> Vec<&'a Value> {
        let own: Vec<_> = list(operation.get("parameters")).map(|parameter| self.resolved(parameter)).collect();
        let name = |parameter: &Value| (text(parameter, "name").to_owned(), text(parameter, "in").to_owned());
        let hidden: BTreeSet<_> = own.iter().map(|parameter| name(parameter)).collect();
        let shared = list(item.get("parameters")).map(|parameter| self.resolved(parameter));
        shared.filter(|parameter| !hidden.contains(&name(parameter))).chain(own.iter().copied()).collect()
    }

    fn parameter_table(&self, parameters: &[&'a Value]) -> String {
        if parameters.is_empty() {
            return String::new();
        }
        let mut rows = "**Parameters**\n\n| Name | In | Type | Meaning |\n|---|---|---|---|\n".to_owned();
        for parameter in parameters {
            let schema = parameter.get("schema").or_else(|| table(parameter.get("content")).next()?.1.get("schema"));
            let mut kind = schema.map(|schema| self.kind(schema, 0)).unwrap_or_default();
            kind.push_str(if flag(parameter, "required") { ", required" } else { "" });
            let limits = schema.map(|schema| self.limits(schema)).unwrap_or_default();
            let words = sentences(text(parameter, "description"), &limits);
            let row = [format!("`{}`", text(parameter, "name")), text(parameter, "in").to_owned(), kind, words];
            rows.push_str(&table_row(&row));
        }
        rows
    }

    fn responses(&self, operation: &'a Value) -> String {
        let mut body = String::new();
        let mut whole = false;
        for (status, response) in table(operation.get("responses")) {
            let response = self.resolved(response);
            let status = scalar(status);
            let _ = writeln!(body, "- `{status}`: {}", cell(text(response, "description")).trim());
            // What a success holds is worth its room; errors look alike everywhere.
            if status.starts_with('2') && !whole {
                let schema = table(response.get("content")).next().and_then(|(_, media)| media.get("schema"));
                let fields = self.fields(schema);
                whole = !fields.is_empty();
                let _ = write!(body, "{}", if whole { format!("\n{fields}\n\n") } else { String::new() });
            }
        }
        if body.is_empty() { body } else { format!("**Responses**\n\n{body}") }
    }

    /// The ways to prove who asks; several requirements are alternatives.
    fn security(&self, operation: &'a Value) -> String {
        let requirements = operation.get("security").or_else(|| self.root.get("security"));
        let mut ways: Vec<String> = Vec::new();
        for (name, _) in list(requirements).flat_map(|requirement| table(Some(requirement))) {
            let scheme = self.root.get("components").and_then(|parts| parts.get("securitySchemes")?.get(name));
            let scheme = scheme.map(|scheme| self.resolved(scheme));
            let words = scheme.map(|scheme| match text(scheme, "type") {
                "apiKey" => format!("API key in the {} `{}`", text(scheme, "in"), text(scheme, "name")),
                "http" => format!("HTTP {}", text(scheme, "scheme")),
                kind => kind.to_owned(),
            });
            ways.push(words.map_or_else(|| scalar(name), |words| format!("{} ({words})", scalar(name))));
        }
        ways.dedup();
        if ways.is_empty() { String::new() } else { format!("**Authentication**: {}", ways.join(" or ")) }
    }

    /// The schema as a table of its fields, or as its type if it has none.
    fn fields(&self, schema: Option<&'a Value>) -> String {
        let Some(schema) = schema else { return String::new() };
        let mut fields = Vec::new();
        self.collect(schema, "", 0, &mut Vec::new(), &mut fields);
        if fields.is_empty() {
            return [self.kind(schema, 0), self.limits(schema)].join(" ");
        }
        let mut rows = "| Field | Type | Meaning |\n|---|---|---|\n".to_owned();
        for Field { name, kind, text } in fields {
            rows.push_str(&table_row(&[format!("`{name}`"), kind, text]));
        }
        rows
    }

    fn collect(&self, schema: &'a Value, prefix: &str, depth: usize, open: &mut Vec<&'a str>, fields: &mut Vec<Field>) {
        if depth > MAX_DEPTH || fields.len() >= MAX_FIELDS {
            return;
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            // A schema that holds itself is written out once.
            if !open.contains(&reference) && open.len() < MAX_REFERENCES {
                open.push(reference);
                if let Some(target) = self.pointed(reference) {
                    self.collect(target, prefix, depth, open, fields);
                }
                open.pop();
            }
            return;
        }
        for part in ["allOf", "oneOf", "anyOf"].iter().flat_map(|key| list(schema.get(key))) {
            self.collect(part, prefix, depth + 1, open, fields);
        }
        if let Some(items) = schema.get("items") {
            self.collect(items, &format!("{prefix}[]"), depth + 1, open, fields);
        }
        let required: BTreeSet<&str> = list(schema.get("required")).filter_map(Value::as_str).collect();
        for (name, property) in table(schema.get("properties")) {
            let own = scalar(name);
            let name = if prefix.is_empty() { own.clone() } else { format!("{prefix}.{own}") };
            if fields.len() >= MAX_FIELDS || fields.iter().any(|field| field.name == name) {
                continue;
            }
            let mut kind = self.kind(property, 0);
            kind.push_str(if required.contains(own.as_str()) { ", required" } else { "" });
            let words = sentences(text(self.resolved(property), "description"), &self.limits(property));
            fields.push(Field { name: name.clone(), kind, text: words });
            self.collect(property, &name, depth + 1, open, fields);
        }
    }

    /// `array of string (date-time)`, or the name of the schema.
    fn kind(&self, schema: &'a Value, depth: usize) -> String {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
        let schema = self.resolved(schema);
        let named = |kind: &str| name.map_or_else(|| kind.to_owned(), str::to_owned);
        if depth > MAX_DEPTH {
            return named("object");
        }
        for key in ["oneOf", "anyOf"] {
            let mut kinds: Vec<String> = list(schema.get(key)).map(|part| self.kind(part, depth + 1)).collect();
            kinds.dedup();
            if !kinds.is_empty() {
                return kinds.join(" or ");
            }
        }
        if let (Some(part), None) = (list(schema.get("allOf")).next(), name) {
            return self.kind(part, depth + 1);
        }
        let types = schema.get("type");
        let kinds: Vec<&str> =
            types.and_then(Value::as_str).into_iter().chain(list(types).filter_map(Value::as_str)).collect();
        let mut kind = match kinds.as_slice() {
            ["array", ..] => {
                let items = schema.get("items").map(|items| self.kind(items, depth + 1));
                format!("array of {}", items.unwrap_or_else(|| "any".to_owned()))
            }
            ["object"] | [] => match schema.get("additionalProperties") {
                Some(values @ Value::Mapping(_)) => format!("map of {}", self.kind(values, depth + 1)),
                _ => named(if kinds.is_empty() && schema.get("properties").is_none() { "any" } else { "object" }),
            },
            kinds => kinds.join(" or "),
        };
        let format = text(schema, "format");
        if !format.is_empty() {
            let _ = write!(kind, " ({format})");
        }
        kind.push_str(if flag(schema, "nullable") { " or null" } else { "" });
        kind
    }

    /// What values may be.
    fn limits(&self, schema: &'a Value) -> String {
        let schema = self.resolved(schema);
        let mut words = Vec::new();
        let values: Vec<String> = list(schema.get("enum")).map(|value| format!("`{}`", scalar(value))).collect();
        if !values.is_empty() {
            words.push(format!("One of {}.", values.join(", ")));
        }
        for (key, name) in
            [("default", "Default"), ("minimum", "At least"), ("maximum", "At most"), ("maxLength", "Longest")]
        {
            if let Some(value) = schema.get(key).map(scalar).filter(|value| !value.is_empty()) {
                words.push(format!("{name} `{value}`."));
            }
        }
        words.join(" ")
    }

    /// The request as a command.
    fn example(
        &self,
        method: &str,
        address: &str,
        parameters: &[&'a Value],
        content: Option<(&'a Value, &'a Value)>,
    ) -> String {
        let needed = |place: &'static str| {
            parameters.iter().filter(move |parameter| text(parameter, "in") == place && flag(parameter, "required"))
        };
        let value = |parameter: &Value| {
            let example = parameter.get("example").or_else(|| parameter.get("schema")?.get("example"));
            example.map_or_else(|| format!("{{{}}}", text(parameter, "name")), scalar)
        };
        let mut address = address.to_owned();
        for parameter in needed("path") {
            address = address.replace(&format!("{{{}}}", text(parameter, "name")), &value(parameter));
        }
        let query: Vec<String> =
            needed("query").map(|query| format!("{}={}", text(query, "name"), value(query))).collect();
        if !query.is_empty() {
            let _ = write!(address, "?{}", query.join("&"));
        }
        let mut command = format!("curl -X {} '{address}'", method.to_uppercase());
        for header in needed("header") {
            let _ = write!(command, " \\\n  -H '{}: {}'", text(header, "name"), value(header));
        }
        if let Some((kind, media)) = content {
            let kind = scalar(kind);
            let first = || Some(self.resolved(table(media.get("examples")).next()?.1).get("value")?.clone());
            let given = media.get("example").cloned().or_else(first);
            let body = given.or_else(|| Some(self.sample(media.get("schema")?, 0, &mut { MAX_FIELDS })));
            let _ = write!(command, " \\\n  -H 'Content-Type: {kind}'");
            if let Some(json) =
                body.filter(|_| kind.contains("json")).and_then(|body| serde_json::to_string(&body).ok())
            {
                let _ = write!(command, " \\\n  -d '{}'", json.replace('\'', "'\\''"));
            }
        }
        format!("**Example request**\n\n```sh\n{command}\n```")
    }

    /// A value that the schema allows, with the required fields only when there are any. `left`: how many
    /// more values it may have.
    fn sample(&self, schema: &'a Value, depth: usize, left: &mut usize) -> Value {
        *left = left.saturating_sub(1);
        let schema = self.resolved(schema);
        let first = |key: &str| list(schema.get(key)).next().cloned();
        let given =
            schema.get("example").cloned().or_else(|| first("examples")).or_else(|| schema.get("default").cloned());
        if let Some(value) = given.or_else(|| schema.get("const").cloned()).or_else(|| first("enum")) {
            return value;
        }
        let mut fields = Mapping::new();
        if depth < MAX_DEPTH && *left > 0 {
            let one = ["oneOf", "anyOf"].iter().find_map(|key| list(schema.get(key)).next());
            for part in list(schema.get("allOf")).chain(one) {
                match self.sample(part, depth + 1, left) {
                    Value::Mapping(more) => fields.extend(more),
                    value if one.is_some() => return value,
                    _ => {}
                }
            }
            let required: BTreeSet<&str> = list(schema.get("required")).filter_map(Value::as_str).collect();
            for (name, property) in table(schema.get("properties")).take(MAX_FIELDS) {
                if required.is_empty() || required.contains(scalar(name).as_str()) {
                    fields.insert(name.clone(), self.sample(property, depth + 1, left));
                }
            }
        }
        let kind = schema
            .get("type")
            .map(|kind| kind.as_str().or_else(|| list(Some(kind)).next()?.as_str()).unwrap_or_default());
        match kind {
            Some("string") => Value::String("string".to_owned()),
            Some("integer" | "number") => Value::Number(1.into()),
            Some("boolean") => Value::Bool(true),
            Some("array") => {
                let items = schema.get("items").filter(|_| depth < MAX_DEPTH && *left > 0);
                Value::Sequence(items.map(|items| self.sample(items, depth + 1, left)).into_iter().collect())
            }
            _ => Value::Mapping(fields),
        }
    }

    /// What a reference points to, or the value itself. Other files are not opened.
    fn resolved(&self, value: &'a Value) -> &'a Value {
        let mut value = value;
        for _ in 0..MAX_REFERENCES {
            let Some(target) = value.get("$ref").and_then(Value::as_str).and_then(|reference| self.pointed(reference))
            else {
                break;
            };
            value = target;
        }
        value
    }

    fn pointed(&self, reference: &str) -> Option<&'a Value> {
        let mut value = self.root;
        for part in reference.strip_prefix("#/")?.split('/') {
            let part = part.replace("~1", "/").replace("~0", "~").replace("%7B", "{").replace("%7D", "}");
            value = match value {
                Value::Sequence(items) => items.get(part.parse::<usize>().ok()?)?,
                value => value.get(part.as_str())?,
            };
        }
        Some(value)
    }
}

fn table(value: Option<&Value>) -> impl Iterator<Item = (&Value, &Value)> {
    value.and_then(Value::as_mapping).into_iter().flatten()
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_sequence).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// One value as it is written.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        _ => String::new(),
    }
}

fn sentences(first: &str, second: &str) -> String {
    let first = first.trim();
    let end = if first.is_empty() || second.is_empty() || first.ends_with(['.', '!', '?', ':']) { "" } else { "." };
    format!("{first}{end} {second}").trim().to_owned()
}

fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn table_row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::UrlStyle;
    use crate::document::site::OperationLinks;

    const USERS: &str = r##"openapi: 3.1.0
info: {title: Users, version: 1.0.0}
servers: [{url: https://api.x.dev/v1/}]
security: [{key: []}]
paths:
  /users/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string, format: uuid}}
    get:
      operationId: getUser
      tags: [User accounts]
      summary: Get a user
      description: See the [guide](../guide.md) | and **more**.
      parameters:
        - {name: fields, in: query, schema: {type: array, items: {type: string, enum: [name, mail]}}, description: "What to\n  return"}
      responses:
        "200": {description: The user, content: {application/json: {schema: {$ref: "#/components/schemas/User"}}}}
        "404": {$ref: "#/components/responses/Missing"}
    patch:
      deprecated: true
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/User"}}}
      responses: {}
    delete: {x-internal: true, responses: {}}
components:
  securitySchemes: {key: {type: http, scheme: bearer}}
  responses: {Missing: {description: No such user}}
  schemas:
    User:
      type: object
      required: [name]
      properties:
        name: {type: [string, "null"], maxLength: 80, description: Full name}
        address: {allOf: [{$ref: "#/components/schemas/Address"}]}
        friends: {type: array, items: {$ref: "#/components/schemas/User"}}
    Address: {type: object, properties: {city: {type: string}}}
"##;

    fn site() -> Site {
        Site::new("https://docs.x.dev", UrlStyle::Clean).unwrap()
    }

    #[test]
    fn every_operation_is_a_document_with_its_schemas_resolved() {
        assert_eq!(detect(USERS), Some(Description::OpenApi));
        let pages = read("api/users.yaml", USERS, &site()).unwrap();
        let paths: Vec<_> = pages.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            ["api/users.yaml#get-/users/{id}", "api/users.yaml#patch-/users/{id}", "api/users.yaml#delete-/users/{id}"]
        );
        let [(_, Page::Document(get)), (_, Page::Document(patch)), (_, delete)] = pages.as_slice() else {
            panic!("{pages:?}")
        };
        assert_eq!(
            (get.title.as_str(), get.url.as_str()),
            ("GET /users/{id} — Get a user", "https://docs.x.dev/api/#operation/getUser")
        );
        assert_eq!(
            get.body,
            "`GET https://api.x.dev/v1/users/{id}`\n\nGet a user\n\nSee the [guide](https://docs.x.dev/guide) | and **more**.\n\n\
             **Parameters**\n\n| Name | In | Type | Meaning |\n|---|---|---|---|\n| `id` | path | string (uuid), required |  |\n\
             | `fields` | query | array of string | What to return |\n\n\
             **Responses**\n\n- `200`: The user\n\n| Field | Type | Meaning |\n|---|---|---|\n\
             | `name` | string or null, required | Full name. Longest `80`. |\n| `address` | Address |  |\n| `address.city` | string |  |\n\
             | `friends` | array of User |  |\n\n\n- `404`: No such user\n\n\
             **Authentication**: key (HTTP bearer)\n\n\
             **Example request**\n\n```sh\ncurl -X GET 'https://api.x.dev/v1/users/{id}'\n```\n\n"
        );
        assert!(
            patch.body.contains("**Deprecated.**") && patch.body.contains("-d '{\"name\":\"string\"}'"),
            "{}",
            patch.body
        );
        assert_eq!(*delete, Page::Skipped("x-internal: true"));
        let json = serde_json::to_string(&yaml_serde::from_str::<Value>(USERS).unwrap()).unwrap();
        assert_eq!(read("api/users.yaml", &json, &site()).unwrap(), pages);
    }

    #[test]
    fn operations_are_linked_as_the_page_that_shows_them_does() {
        let url = |links, tag, id| {
            let site = site().with_operations(links, Some("https://x.dev/reference".to_owned()));
            site.operation_url("a.json", "get", "/users/{id}", tag, id).replace("https://x.dev/reference#", "")
        };
        assert_eq!(url(OperationLinks::Redoc, "My users", "getUser"), "operation/getUser");
        assert_eq!(url(OperationLinks::Redoc, "My users", ""), "tag/my-users/paths/~1users~1%7Bid%7D/get");
        assert_eq!(url(OperationLinks::Swagger, "My users", "getUser"), "/My%20users/getUser");
        assert_eq!(url(OperationLinks::Swagger, "", ""), "/default/get_users__id_");
        assert_eq!(url(OperationLinks::Scalar, "My users", "getUser"), "tag/my-users/GET/users/%7Bid%7D");
        assert_eq!(url(OperationLinks::Stoplight, "My users", "getUser"), "/operations/getUser");
    }

    #[test]
    fn what_is_no_description_is_told_apart_and_a_broken_one_names_its_line() {
        assert_eq!(detect("{\"name\": \"x\", \"version\": \"3.1\"}"), None);
        assert_eq!(detect("# openapi: 3\nname: x\n"), None);
        assert_eq!(detect("swagger: '2.0'\n"), Some(Description::Swagger));
        assert_eq!(detect("{ \"info\": {}, \"openapi\" : \"3.0.3\""), Some(Description::OpenApi));
        let error = read("a.yaml", "openapi: 3.0.0\npaths: [\n", &site()).unwrap_err();
        assert!(error.to_string().starts_with("line "), "{error}");
        assert_eq!(read("a.yaml", "openapi: 3.0.0\npaths: {/a: {$ref: '#/paths/~1a'}}\n", &site()), Ok(Vec::new()));
    }
}
