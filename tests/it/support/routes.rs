//! The routes that there are, as the router knows them.

use http::Method;
use syncline::api;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Call, TestApp};

impl TestApp {
    /// Serves on a port of this machine until the test ends; gives the address.
    pub(crate) async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = api::serve(listener, self.router(), CancellationToken::new());
        self.spawn(async move { serving.await.unwrap() });
        address
    }

    /// The paths of all routes.
    pub(crate) fn routes(&self) -> Vec<String> {
        let shown = format!("{:?}", self.router());
        let quoted = shown.split('"').skip(1).step_by(2);
        let mut paths: Vec<String> = quoted
            // Those of what answers when no route does are no routes of ours.
            .filter(|text| text.starts_with('/') && *text != "/" && !text.contains('*'))
            .map(str::to_owned)
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// The routes with each of their methods, but for those that begin with one of these.
    pub(crate) async fn operations(&self, without: &[&str]) -> Vec<(Method, String)> {
        let mut operations = Vec::new();
        for route in self.routes() {
            if without.iter().any(|prefix| route.starts_with(prefix)) {
                continue;
            }
            let unknown = Method::from_bytes(b"PROPFIND").unwrap();
            let call = Call::new(unknown, &route.replace(['{', '}'], ""));
            let answer = self.call(call).await;
            assert_eq!(answer.status.as_u16(), 405, "{route}");
            let allowed = answer.header("allow").unwrap().split(',');
            for method in allowed.filter(|name| *name != "HEAD") {
                operations.push((method.parse().unwrap(), route.clone()));
            }
        }
        operations
    }
}
