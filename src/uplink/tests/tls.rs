//! TLS: who is trusted, and what is said when it does not work.
//!
//! The certificates in `pem/` are for tests only and valid until 2126; the authority's key was
//! thrown away.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::fake::{Ack, End, Fake, Mood, WELL};
use super::world::{World, plan};
use crate::config::file::SecretPlaces;
use crate::config::{BrokerUrl, TlsPlan, UplinkPlan, clouds};
use crate::model::Wall;
use crate::uplink::{Cause, settings, trial};

fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/uplink/tests/pem").join(name)
}

/// Takes TLS off and passes on to the fake broker; wants a client certificate.
async fn terminator(to: SocketAddr) -> (SocketAddr, JoinSet<()>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pem("ca.pem")).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_file(pem("server.pem")).unwrap()],
            PrivateKeyDer::from_pem_file(pem("server.key")).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                if let Ok(mut inner) = acceptor.accept(socket).await {
                    let mut outer = TcpStream::connect(to).await.unwrap();
                    let _over = copy_bidirectional(&mut inner, &mut outer).await;
                }
            });
        }
    });
    (addr, tasks)
}

fn secure(host: &str, port: u16) -> BrokerUrl {
    BrokerUrl { host: host.to_owned(), port, secure: true, path: None }
}

fn tls_plan(fake: &Fake, addr: SocketAddr, ca: &str) -> UplinkPlan {
    let client = Some((pem("client.pem"), pem("client.key")));
    let tls = Some(TlsPlan { ca: Some(pem(ca)), client });
    UplinkPlan { brokers: vec![secure("127.0.0.1", addr.port())], tls, ..plan(fake) }
}

/// On a port that serves several protocols, and nowhere else; what the user writes wins.
#[tokio::test]
async fn a_service_is_offered_the_protocol_of_its_port() {
    let fake = Fake::new([]).await;
    let service = clouds::services().find(|service| service.name == "aws-iot-core").map(Arc::new);
    let web = BrokerUrl { path: Some("/mqtt".to_owned()), ..secure("h", 443) };
    let brokers = vec![secure("h", 443), secure("h", 8883), web];
    let plan = UplinkPlan { service, brokers, ..tls_plan(&fake, fake.addr, "ca.pem") };
    let places = SecretPlaces::new("/nonexistent".into());
    let offered = |plan: &UplinkPlan, broker| {
        let dial = settings::dial(plan, &places, broker, Wall(0)).unwrap();
        dial.target.tls.unwrap().config.alpn_protocols.clone()
    };
    assert_eq!(offered(&plan, 0), [b"x-amzn-mqtt-ca"]);
    assert!(offered(&plan, 1).is_empty() && offered(&plan, 2).is_empty());
    let own = UplinkPlan { alpn: vec!["mqtt".to_owned()], ..plan };
    assert_eq!(offered(&own, 0), [b"mqtt"]);
}

#[tokio::test]
async fn both_sides_show_their_certificates_and_rows_arrive() {
    let fake = Fake::new([]).await;
    let (addr, _tasks) = terminator(fake.addr).await;
    let mut world = World::new();
    world.append(10);
    // The certificate is for the name and for the address.
    for host in ["127.0.0.1", "localhost"] {
        let brokers = vec![secure(host, addr.port())];
        let running = world.start(UplinkPlan { brokers, ..tls_plan(&fake, addr, "ca.pem") });
        running.until_nothing_waits().await;
        running.stop().await;
    }
    world.check_nothing_lost(&fake);
}

#[tokio::test]
async fn what_is_wrong_is_said_and_tried_again() {
    let fake = Fake::new([]).await;
    let (addr, _tasks) = terminator(fake.addr).await;
    let good = tls_plan(&fake, addr, "ca.pem");
    let tls = good.tls.clone().unwrap();
    let nowhere = pem("nowhere.pem");
    let key = pem("client.key");
    let cases = [
        (
            tls_plan(&fake, addr, "other-ca.pem"),
            Cause::Certificate,
            "an authority that is not trusted here",
        ),
        (
            UplinkPlan { tls: Some(TlsPlan { client: None, ..tls.clone() }), ..good.clone() },
            Cause::ClientCertificate,
            "wants a certificate of this client",
        ),
        (
            UplinkPlan { tls: Some(TlsPlan { ca: Some(nowhere), ..tls.clone() }), ..good.clone() },
            Cause::Settings,
            "the CA file",
        ),
        (
            UplinkPlan { tls: Some(TlsPlan { ca: Some(key), ..tls }), ..good.clone() },
            Cause::Settings,
            "is not a valid PEM file",
        ),
        (
            UplinkPlan { brokers: vec![secure("127.0.0.1", fake.addr.port())], ..good.clone() },
            Cause::Tls,
            "instead of agreeing on TLS",
        ),
    ];
    for (plan, cause, words) in cases {
        let world = World::new();
        let running = world.start(plan);
        let again = |ends: Option<&u64>| ends.is_some_and(|ends| *ends >= 2);
        let status = running.until(words, |status| again(status.ends.get(&cause))).await;
        let said = status.last_end.unwrap();
        assert!(said.contains(words), "{said}");
        running.stop().await;
    }
}

#[tokio::test]
async fn a_certificate_that_may_be_bound_to_a_client_id_is_named() {
    let fake = Fake::new([Mood { end: End::Close(1), ack: Ack::Never, ..WELL }; 2]).await;
    let (addr, _tasks) = terminator(fake.addr).await;
    let tls = tls_plan(&fake, addr, "ca.pem");
    for (beside, is_said) in [(Some("press-line-3-test".to_owned()), true), (None, false)] {
        let mut last = None;
        let mut tell = |tried| last = Some(tried);
        let good = trial(&tls, beside, Path::new("/nonexistent"), Wall(0), &mut tell).await;
        let last = last.unwrap();
        assert!(!good && last.step == "publish", "{last:?}");
        let words = "tried as client press-line-3-test";
        assert_eq!(last.said.contains(words), is_said, "{last:?}");
    }
}
