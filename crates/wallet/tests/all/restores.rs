//! Wallets that come back, ones that do not, and blocks that are looked through again.

use bitcoin::Network;
use chain::{BlockRef, Chain, Event, Height};
use signer::{Branch, KeyIndex, KeyPlace};
use wallet::{Balance, Refusal, RestoreFault, WALLET_VERSION, Wallet};

use crate::{
    blocks::stranger,
    world::{NETWORK, USER, World, account_of, order, sat, signer_of},
};

const OTHER: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

/// Where a snapshot says how many addresses were used.
const USED: std::ops::Range<usize> = 156..164;

/// A wallet with something of everything.
fn full() -> World {
    let mut world = World::new();
    for each in [40_000, 50_000, 60_000, 70_000] {
        world.receive(each);
    }
    world.pay(&order(stranger(1), 10_000, 1));
    let outpoint = world.wallet.coins().iter().find(|coin| coin.is_free()).unwrap().outpoint;
    world.wallet.lock(outpoint, 3, Some(Height(900))).unwrap();
    world.send(&order(stranger(1), 10_000, 1)).unwrap();
    world.save();
    world
}

#[test]
fn a_wallet_belongs_to_its_seed() {
    let world = full();
    let (ours, theirs) = (account_of(&mut signer_of(OTHER)), *world.wallet.account());
    let saved = world.wallet.snapshot();
    let fault = Wallet::restore(ours, NETWORK, &saved, []).unwrap_err();
    let (got, want) = (theirs.fingerprint, ours.fingerprint);
    assert_eq!(fault, RestoreFault::Account { got, want });
    let text = "a wallet that does not match the seed: it is of 73c5da0a, not of b8688df1";
    assert_eq!(fault.to_string(), text);
    let fault = Wallet::restore(theirs, Network::Signet, &saved, []).unwrap_err();
    let (got, want) = (Network::Regtest, Network::Signet);
    assert_eq!(fault, RestoreFault::Network { got, want });
}

#[test]
fn an_unknown_version_is_refused() {
    let world = full();
    let account = *world.wallet.account();
    let mut saved = world.wallet.snapshot();
    assert_eq!(saved[0], WALLET_VERSION);
    let mut change = world.changes[0].clone();
    change[0] = 9;
    let version = RestoreFault::Version { got: 9, want: WALLET_VERSION };
    let fault = Wallet::restore(account, NETWORK, &saved, [change.as_slice()]).unwrap_err();
    assert_eq!(fault, version);
    saved[0] = 9;
    assert_eq!(Wallet::restore(account, NETWORK, &saved, []).unwrap_err(), version);
}

#[test]
fn what_is_damaged_is_refused_or_another_wallet_and_never_a_panic() {
    let mut world = full();
    let account = *world.wallet.account();
    let saved = world.wallet.snapshot();
    let restore = |bytes: &[u8]| Wallet::restore(account, NETWORK, bytes, []);
    for length in (0..saved.len()).step_by(11) {
        restore(&saved[..length]).unwrap_err();
    }
    restore(&[&saved[..], &[0]].concat()).unwrap_err();
    let (mut refused, changes) = (0, world.changes.clone());
    for round in 0..250 {
        let mut bytes = match round % 3 {
            0 => saved.clone(),
            _ => changes[world.dice.below(changes.len())].clone(),
        };
        for _ in 0..=world.dice.below(2) {
            let at = world.dice.below(bytes.len());
            // That millions of addresses were used takes long to believe.
            if round % 3 > 0 || !USED.contains(&at) {
                bytes[at] = world.dice.throw() as u8;
            }
        }
        let outcome = match round % 3 {
            0 => restore(&bytes),
            _ => Wallet::restore(account, NETWORK, &world.snapshot, [bytes.as_slice()]),
        };
        match outcome {
            Ok(wallet) => {
                let again = restore(&wallet.snapshot()).unwrap();
                assert_eq!(again.snapshot(), wallet.snapshot());
                assert_eq!(again.coins(), wallet.coins());
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 60, "{refused}");
}

#[test]
fn a_restart_at_every_step_changes_nothing() {
    let mut world = full();
    let account = *world.wallet.account();
    for kept in 0..=world.changes.len() {
        // A crash keeps a prefix; the chain tells the rest again.
        let changes = world.changes[..kept].iter().map(Vec::as_slice);
        let mut wallet = Wallet::restore(account, NETWORK, &world.snapshot, changes).unwrap();
        let mut chain = Chain::new(world.chain.headers().clone());
        chain.attach(USER, Some(wallet.cursor())).unwrap();
        std::mem::swap(&mut world.wallet, &mut wallet);
        std::mem::swap(&mut world.chain, &mut chain);
        let before = world.changes.clone();
        world.settle();
        assert_eq!(world.wallet.cursor(), wallet.cursor());
        let confirmed = |wallet: &Wallet| {
            let coins = wallet.coins();
            let received: u64 = coins
                .iter()
                .filter(|coin| coin.height.is_some())
                .map(|coin| coin.amount.to_sat())
                .sum();
            received
        };
        // Only what was published and not saved is unknown.
        assert!(confirmed(&world.wallet) >= confirmed(&wallet), "{kept}");
        world.changes = before;
        std::mem::swap(&mut world.wallet, &mut wallet);
        std::mem::swap(&mut world.chain, &mut chain);
    }
}

/// Somebody comes with words that were used elsewhere, and with nothing else.
#[test]
fn words_alone_bring_everything_back() {
    let mut world = World::new();
    for each in [40_000, 50_000, 60_000] {
        world.receive(each);
        // Ten addresses that nobody uses lie between.
        for _ in 0..10 {
            world.wallet.address().unwrap();
        }
    }
    for number in 1..=3 {
        let sent = world.pay(&order(stranger(number), 25_000, 2));
        world.mine(vec![sent]);
    }
    let want = (world.balance(), world.wallet.coins());
    let birthday = world.wallet.birthday();
    world.wallet = Wallet::create(*world.wallet.account(), NETWORK, birthday);
    world.chain = Chain::new(world.chain.headers().clone());
    world.chain.attach(USER, Some(birthday)).unwrap();
    world.settle();
    let (balance, mut coins) = (world.balance(), world.wallet.coins());
    assert_eq!(balance, want.0);
    // Whether it was we who made a transaction, nobody knows any more.
    coins.iter_mut().for_each(|coin| coin.is_change |= true);
    let mut wanted = want.1;
    wanted.iter_mut().for_each(|coin| coin.is_change |= true);
    assert_eq!(coins, wanted);
}

#[test]
fn a_rescan_finds_what_was_beyond_reach() {
    let mut world = World::new();
    let far = {
        let index = KeyIndex::new(30).unwrap();
        world.wallet.account().script(KeyPlace { branch: Branch::Receive, index })
    };
    let gift = world.gift_to(far, 8_000);
    world.mine(vec![gift]);
    world.mine_empty(3);
    assert_eq!(world.balance(), Balance::default());
    // Only later something brings it into reach.
    for _ in 0..15 {
        world.wallet.address().unwrap();
    }
    world.receive(5_000);
    assert_eq!(world.balance().confirmed, sat(5_000));
    let max = world.wallet.cursor().height;
    let late = Height(max.0 + 1);
    let refusal = world.refused(|wallet, _| wallet.rescan(late));
    assert_eq!(refusal, Refusal::TooLate { got: late, max });
    world.wallet.rescan(Height(0)).unwrap();
    let begun = world.wallet.progress().unwrap();
    assert_eq!((begun.done, begun.found), (0, 0));
    assert!(begun.of >= 56, "{begun:?}");
    // A new process goes on with it.
    world.restart();
    assert_eq!(world.wallet.progress(), None);
    assert_eq!(world.balance().confirmed, sat(13_000));
}

#[test]
fn blocks_come_in_order_or_not_at_all() {
    let mut world = World::new();
    world.receive(5_000);
    world.mine_empty(2);
    let cursor = world.wallet.cursor();
    let at = |height| BlockRef { height: Height(height), hash: cursor.hash };
    let connected = |height| Event::Connected { block: at(height), found: Vec::new() };
    for got in [0, 3, 5] {
        let refusal = world.refused(|wallet, _| wallet.hear(connected(got)));
        assert_eq!(refusal, Refusal::Gap { got: at(got), cursor });
    }
    let gone = Event::Disconnected { block: at(2), cursor: at(1) };
    let refusal = world.refused(|wallet, _| wallet.hear(gone));
    assert_eq!(refusal, Refusal::Gap { got: at(2), cursor });
    let ahead = Event::Found { block: at(9), found: Vec::new() };
    let refusal = world.refused(|wallet, _| wallet.hear(ahead));
    assert_eq!(refusal, Refusal::Gap { got: at(9), cursor });
}

/// The same draw is the same draft, on every machine.
#[test]
fn chance_comes_from_the_draw_alone() {
    let spends = |draw: u8| {
        let mut world = World::new();
        for number in 0..30 {
            world.receive(10_000 + number);
        }
        let order = order(stranger(1), 95_000, 1);
        world.wallet.send(&order, [draw; 32]).unwrap().spend().clone()
    };
    assert_eq!(spends(1), spends(1));
    assert_ne!(spends(1), spends(2));
}
