//! Signing in and changing accounts, with a clock moved by hand.

use super::*;
use crate::model::{ManualClock, Wall};
use crate::web::access::sessions::IDLE;

const NOW: Wall = Wall(1_795_737_600_000);
const PASSWORD: &str = "korrekt pferd batterie";
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 8));

struct World {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    access: Arc<Access>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Mono(0), NOW));
        let access = Arc::new(Access::open(Some(dir.path()), clock.clone()).unwrap());
        Self { dir, clock, access }
    }

    /// With the accounts anna, an administrator, and ben, who looks.
    async fn with_accounts() -> Self {
        let world = Self::new();
        let console = Who::console();
        for (name, role) in [("anna", Role::Admin), ("ben", Role::Viewer)] {
            world.access.add_user(&console, name, role, PASSWORD).await.unwrap();
        }
        world
    }

    fn restart(&mut self) {
        self.access = Arc::new(Access::open(Some(self.dir.path()), self.clock.clone()).unwrap());
    }

    async fn signed_in(&self, name: &str) -> (String, Who) {
        let signed = self.access.sign_in(HERE, name, PASSWORD).await.unwrap();
        let who = self.access.of_session(&signed.token, HERE).await.unwrap();
        (signed.token, who)
    }

    async fn whats(&self) -> Vec<String> {
        let rows = self.access.rows(None, 100).await.unwrap().unwrap();
        rows.into_iter().rev().map(|row| format!("{} {}", row.who, row.what)).collect()
    }
}

#[tokio::test]
async fn the_first_account_needs_the_code_once() {
    let mut world = World::new();
    let access = Arc::clone(&world.access);
    let code = access.setup_code().unwrap();
    let wrong = access.set_up(HERE, false, Some("0000-0000"), "anna", PASSWORD).await;
    assert!(matches!(wrong, Err(Refused::WrongCode)));
    let none = access.set_up(HERE, false, None, "anna", PASSWORD).await;
    assert!(matches!(none, Err(Refused::WrongCode)));
    let weak = access.set_up(HERE, false, Some(&code), "anna", "anna123456").await;
    assert!(matches!(weak, Err(Refused::Account(AccountError::PasswordGuessed))));
    let made = access.set_up(HERE, false, Some(&code), "anna", PASSWORD).await.unwrap();
    assert_eq!((made.name.as_str(), made.role), ("anna", Role::Admin));
    assert_eq!(access.of_session(&made.token, HERE).await.unwrap().name, "anna");
    assert_eq!(access.setup_code(), None);
    for at_machine in [false, true] {
        let again = access.set_up(HERE, at_machine, Some(&code), "eve", PASSWORD).await;
        assert!(matches!(again, Err(Refused::SetUp)));
    }
    world.restart();
    assert!(!world.access.needs_setup());
    assert_eq!(world.whats().await, ["anna setup-refused", "anna setup-refused", "anna set-up"]);
}

#[tokio::test]
async fn of_two_who_set_up_at_the_same_time_one_does() {
    let world = World::new();
    let (one, two) = tokio::join!(
        world.access.set_up(HERE, true, None, "anna", PASSWORD),
        world.access.set_up(HERE, true, None, "ben", PASSWORD),
    );
    assert!(one.is_ok() != two.is_ok());
    assert_eq!(world.access.users().len(), 1);
}

#[tokio::test]
async fn guessing_the_code_is_slowed_down() {
    let world = World::new();
    let mut looked_at = 0;
    for _ in 0..100 {
        match world.access.set_up(HERE, false, Some("AAAA-AAAA"), "eve", PASSWORD).await {
            Err(Refused::WrongCode) => looked_at += 1,
            Err(Refused::Wait(_)) => {}
            _ => panic!("it was let in"),
        }
        world.clock.advance(Duration::from_millis(100));
    }
    assert!(looked_at < 10, "{looked_at}");
    let code = world.access.setup_code().unwrap();
    let right = world.access.set_up(ELSEWHERE, false, Some(&code), "anna", PASSWORD).await;
    assert!(right.is_ok(), "who knows it is let in from elsewhere");
}

#[tokio::test]
async fn a_session_ends_with_what_it_stands_for() {
    let mut world = World::with_accounts().await;
    let (_, anna) = world.signed_in("anna").await;
    let (token, ben) = world.signed_in("ben").await;
    assert_eq!((ben.role, &ben.key), (Role::Viewer, &Key::Session(Digest::of(&token))));
    world.access.set_role(&anna, "ben", Role::Operator).await.unwrap();
    assert_eq!(world.access.of_session(&token, HERE).await.unwrap().role, Role::Operator);
    assert!(world.access.is_still_in(&ben));
    world.access.set_password(&anna, "ben", "another long password").await.unwrap();
    assert!(
        world.access.of_session(&token, HERE).await.is_none() && !world.access.is_still_in(&ben)
    );
    world.access.set_password(&anna, "ben", PASSWORD).await.unwrap();
    let (token, _) = world.signed_in("ben").await;
    world.access.remove_user(&anna, "ben").await.unwrap();
    assert!(world.access.of_session(&token, HERE).await.is_none());
    let (token, who) = world.signed_in("anna").await;
    world.access.sign_out(&who).await.unwrap();
    assert!(world.access.of_session(&token, HERE).await.is_none());
    let (token, _) = world.signed_in("anna").await;
    world.clock.advance(IDLE);
    assert!(world.access.of_session(&token, HERE).await.is_none());
    let (token, _) = world.signed_in("anna").await;
    world.restart();
    assert!(world.access.of_session(&token, HERE).await.is_none(), "sessions end with the process");
}

#[tokio::test]
async fn every_sign_in_has_a_token_of_its_own() {
    let world = World::with_accounts().await;
    let (one, _) = world.signed_in("anna").await;
    let (two, _) = world.signed_in("anna").await;
    assert_ne!(one, two);
    for made_up in ["", "x", &"a".repeat(43)] {
        assert!(world.access.of_session(made_up, HERE).await.is_none());
        assert!(world.access.of_token(made_up, HERE).await.is_none());
    }
}

#[tokio::test]
async fn brute_force_sees_few_passwords_looked_at_and_locks_nobody_out() {
    let world = World::with_accounts().await;
    let (mut looked_at, mut longest) = (0, Duration::ZERO);
    for n in 0..200 {
        // Names that nobody has are like those that somebody has.
        let name = if n % 2 == 0 { "anna" } else { "nobody" };
        match world.access.sign_in(HERE, name, "a wrong password").await {
            Err(Refused::WrongLogin) => looked_at += 1,
            Err(Refused::Wait(left)) => longest = longest.max(left),
            _ => panic!("it was let in"),
        }
        world.clock.advance(Duration::from_millis(500));
    }
    assert!(looked_at <= 5 + 6, "{looked_at} within 100 s");
    assert!(longest > Duration::from_secs(30) && longest <= Duration::from_secs(60));
    let right = world.access.sign_in(HERE, "anna", PASSWORD).await;
    assert!(matches!(right, Err(Refused::Wait(_))), "not even with the right one, from there");
    assert!(world.access.sign_in(ELSEWHERE, "anna", PASSWORD).await.is_ok());
    world.clock.advance(Duration::from_secs(60));
    assert!(world.access.sign_in(HERE, "anna", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn ones_own_password_needs_the_old_one_and_ends_the_other_sessions() {
    let world = World::with_accounts().await;
    let (mine, who) = world.signed_in("ben").await;
    let (other, _) = world.signed_in("ben").await;
    let wrong = world.access.change_password(&who, "something wrong", "a new long one").await;
    assert!(matches!(wrong, Err(Refused::WrongLogin)));
    world.access.change_password(&who, PASSWORD, "a new long one").await.unwrap();
    assert!(world.access.of_session(&mine, HERE).await.is_some());
    assert!(world.access.of_session(&other, HERE).await.is_none());
    assert!(matches!(world.access.sign_in(HERE, "ben", PASSWORD).await, Err(Refused::WrongLogin)));
    assert!(world.access.sign_in(HERE, "ben", "a new long one").await.is_ok());
}

#[tokio::test]
async fn a_token_works_until_it_ends_or_is_removed() {
    let mut world = World::with_accounts().await;
    let (_, anna) = world.signed_in("anna").await;
    let made = world.access.add_token(&anna, "scada", Role::Operator, Some(30)).await.unwrap();
    assert!(made.secret.starts_with("fhk_"));
    world.restart();
    let who = world.access.of_token(&made.secret, HERE).await.unwrap();
    assert_eq!((who.name.as_str(), who.role), ("token scada", Role::Operator));
    assert!(world.access.is_still_in(&who));
    let kept = std::fs::read_to_string(world.dir.path().join("accounts.json")).unwrap();
    assert!(!kept.contains(&made.secret) && !kept.contains(PASSWORD));
    assert_eq!(world.access.tokens()[0].last_used_wall_ms, Some(NOW.0));
    world.clock.advance(Duration::from_secs(30 * 86_400));
    assert!(world.access.of_token(&made.secret, HERE).await.is_none());
    let made = world.access.add_token(&anna, "probe", Role::Viewer, None).await.unwrap();
    assert!(world.access.of_token(&made.secret, HERE).await.is_some());
    world.access.remove_token(&anna, &made.id).await.unwrap();
    assert!(world.access.of_token(&made.secret, HERE).await.is_none());
}

#[tokio::test]
async fn every_change_is_in_the_audit_and_no_secret_is() {
    let mut world = World::with_accounts().await;
    let (_, anna) = world.signed_in("anna").await;
    let made = world.access.add_token(&anna, "scada", Role::Viewer, None).await.unwrap();
    let _ = world.access.sign_in(ELSEWHERE, "ben", "guessed it wrong").await;
    world.access.set_role(&anna, "ben", Role::Operator).await.unwrap();
    world.access.remove_user(&anna, "ben").await.unwrap();
    world.restart();
    assert_eq!(
        world.whats().await,
        [
            "the console user-added",
            "the console user-added",
            "anna signed-in",
            "anna token-added",
            "ben sign-in-refused",
            "anna user-changed",
            "anna user-removed",
        ]
    );
    let rows = world.access.rows(None, 100).await.unwrap().unwrap();
    assert_eq!(rows.iter().find(|row| row.who == "ben").unwrap().from, Some(ELSEWHERE));
    assert_eq!(rows.last().unwrap().from, None);
    let text = std::fs::read_to_string(world.dir.path().join("audit.jsonl")).unwrap();
    for secret in [PASSWORD, "guessed it wrong", made.secret.as_str(), "$argon2"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn the_command_line_does_the_same_with_and_without_a_gateway() {
    use crate::web::access::asks::{AccessAsk, answer, answer_without_gateway};

    let mut world = World::new();
    let add = |name: &str, role| AccessAsk::Add {
        name: name.to_owned(),
        role,
        password: PASSWORD.to_owned(),
    };
    let alone = |world: &World, ask| answer_without_gateway(world.dir.path(), ask, &*world.clock);
    assert!(alone(&world, add("ben", Role::Viewer)).unwrap_err().contains("administrator"));
    alone(&world, add("anna", Role::Admin)).unwrap();
    assert!(alone(&world, AccessAsk::SetupCode).is_err());
    world.restart();
    assert!(answer(&world.access, AccessAsk::SetupCode).await.unwrap()["code"].is_null());
    answer(&world.access, add("ben", Role::Viewer)).await.unwrap();
    let (token, _) = world.signed_in("ben").await;
    let new = AccessAsk::Password { name: "ben".into(), password: "a new long one".into() };
    answer(&world.access, new.clone()).await.unwrap();
    assert!(world.access.of_session(&token, HERE).await.is_none());
    let last = AccessAsk::Remove { name: "anna".into() };
    for said in [answer(&world.access, last.clone()).await, alone(&world, last)] {
        assert!(said.unwrap_err().contains("the last administrator"));
    }
    let listed = alone(&world, AccessAsk::List).unwrap();
    assert_eq!(listed, answer(&world.access, AccessAsk::List).await.unwrap());
    assert_eq!(listed["users"][1]["name"], "ben");
    alone(&world, new).unwrap();
    alone(&world, AccessAsk::Remove { name: "ben".into() }).unwrap();
}
