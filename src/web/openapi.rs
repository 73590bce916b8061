//! What the description of the API says of every route alike: how it says no, and how one signs in.

use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, Info, OpenApi, Ref, RefOr, ResponseBuilder, ResponsesBuilder,
};

use super::problem::Problem;

/// The scheme of sessions; the roles of routes are its scopes.
const SESSION: &str = "session";
const TOKEN: &str = "token";
/// Where every route's way to say no is kept.
const PROBLEM: &str = "Problem";

/// Completes what the routes say of themselves.
pub fn finish(mut api: OpenApi) -> OpenApi {
    let mut info = Info::new("Fieldhold", env!("CARGO_PKG_VERSION"));
    info.description = Some("What the page of a gateway uses, for everyone.".to_owned());
    api.info = info;
    let components = api.components.get_or_insert_default();
    let mut schemas = vec![(PROBLEM.to_owned(), <Problem as utoipa::PartialSchema>::schema())];
    <Problem as ToSchema>::schemas(&mut schemas);
    components.schemas.extend(schemas);
    let cookie = ApiKeyValue::with_description("fieldhold", "Set by POST /session.");
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(token));
    for item in api.paths.paths.values_mut() {
        operations(item).for_each(|operation| {
            or_a_token(operation);
            say_no(operation);
        });
    }
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
    all.into_iter().flatten()
}

/// Where a session is asked for, a program's token does as well.
fn or_a_token(operation: &mut Operation) {
    let Some(ways) = &mut operation.security else { return };
    let empty = SecurityRequirement::default();
    if ways.iter().all(|way| *way != empty) {
        ways.push(SecurityRequirement::new(TOKEN, Vec::<String>::new()));
    }
}

/// Whatever is not said of a route is a problem.
fn say_no(operation: &mut Operation) {
    let schema = RefOr::Ref(Ref::from_schema_name(PROBLEM));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let problem = ResponseBuilder::new()
        .description("Why it was not done")
        .content("application/problem+json", content)
        .build();
    let said = std::mem::take(&mut operation.responses);
    let all = ResponsesBuilder::from(said).response("default", problem);
    operation.responses = all.build();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    /// Of two things that are called alike one would be described as the other.
    #[test]
    fn what_is_described_has_names_of_its_own() {
        let mut names = BTreeMap::<String, Vec<String>>::new();
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
        for file in files(&src) {
            let text = std::fs::read_to_string(&file).unwrap();
            for described in text.split(concat!("ToSchema", ")]")).skip(1) {
                let head: String = described.lines().take(6).collect::<Vec<_>>().join("\n");
                let mut words = head.split(|c: char| !c.is_alphanumeric() && c != '_');
                let renamed = head
                    .split(concat!("schema(as", " = "))
                    .nth(1)
                    .and_then(|rest| rest.split(')').next());
                let own = words
                    .find(|word| ["struct", "enum"].contains(word))
                    .and(words.find(|word| !word.is_empty()));
                let name = renamed.or(own).expect(&head).to_owned();
                names.entry(name).or_default().push(file.display().to_string());
            }
        }
        assert!(names.len() > 60, "{} found", names.len());
        names.retain(|_, files| files.len() > 1);
        assert!(names.is_empty(), "{names:?}");
    }

    fn files(dir: &Path) -> Vec<std::path::PathBuf> {
        let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        all.flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect()
    }
}
