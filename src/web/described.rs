//! Routes and the description that each of them carries.
//!
//! A description is made by utoipa out of the same attribute as the route. To make the one of the
//! whole API takes 3 MB of memory and 0.8 MB of code, so only the tests do it: they hold
//! `docs/openapi.json` to it, which the build puts into the program (`build.rs`).

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, MethodRouter, Route};
use tower::{Layer, Service};
use utoipa::openapi::HttpMethod;
#[cfg(test)]
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::App;

/// Routes that are being put together.
#[derive(Default)]
pub struct Routes {
    router: Router<App>,
    #[cfg(test)]
    described: OpenApiRouter<App>,
}

/// The routes of handlers, where and for which method their descriptions say.
macro_rules! routes {
    ($($handler:ident),+) => {
        pastey::paste! {{
            let routes = $crate::web::described::Routes::default();
            $(let routes = routes.on(
                &<[<__path_ $handler>] as utoipa::Path>::path(),
                &<[<__path_ $handler>] as utoipa::Path>::methods(),
                &$handler,
            );)+
            #[cfg(test)]
            let routes = routes.described(utoipa_axum::routes!($($handler),+));
            routes
        }}
    };
}
pub(crate) use routes;

impl Routes {
    pub fn on<H: Handler<T, App>, T: 'static>(
        mut self,
        path: &str,
        methods: &[HttpMethod],
        handler: &H,
    ) -> Self {
        let on = methods
            .iter()
            .fold(MethodRouter::new(), |on, method| on.on(filter(method), handler.clone()));
        self.router = self.router.route(path, on);
        self
    }

    #[cfg(test)]
    pub fn described(mut self, of: UtoipaMethodRouter<App>) -> Self {
        self.described = self.described.routes(of);
        self
    }

    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        #[cfg(test)]
        {
            self.described = self.described.merge(other.described);
        }
        self
    }

    pub fn nest(mut self, base: &str, inner: Self) -> Self {
        self.router = self.router.nest(base, inner.router);
        #[cfg(test)]
        {
            self.described = self.described.nest(base, inner.described);
        }
        self
    }

    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<std::convert::Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.router = self.router.layer(layer);
        self
    }

    pub fn into_router(self) -> Router<App> {
        self.router
    }

    #[cfg(test)]
    pub fn into_description(self) -> utoipa::openapi::OpenApi {
        self.described.into_openapi()
    }
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
    }
}
