//! What a close means, as bytes.

use bitcoin::ScriptBuf;
use tx::{Close, ClosingOutputs};
use wire::amount::{LockTime, Msat, Sat};
use wire::field::Field as _;
use wire::list::Script;
use wire::reader::Reader;

use super::terms::SIDES;
use super::{RecordFlaw, chosen};

pub(super) fn write(close: &Close) -> Vec<u8> {
    let mut to = Vec::new();
    close.to_opener.write(&mut to);
    close.to_acceptor.write(&mut to);
    for script in [&close.opener_script, &close.acceptor_script] {
        to.push(u8::from(script.is_some()));
        script.iter().for_each(|script| script.write(&mut to));
    }
    close.fee.write(&mut to);
    match close.dialect {
        ClosingOutputs::Signed { dust_limit } => {
            to.push(0);
            dust_limit.write(&mut to);
        }
        ClosingOutputs::Complete { closer, lock_time } => {
            to.extend([1, closer as u8]);
            lock_time.write(&mut to);
        }
    }
    to
}

pub(super) fn read(from: &mut Reader<'_>) -> Result<Close, RecordFlaw> {
    Ok(Close {
        to_opener: Msat::read(from)?,
        to_acceptor: Msat::read(from)?,
        opener_script: script(from)?,
        acceptor_script: script(from)?,
        fee: Sat::read(from)?,
        dialect: match chosen(from, &[false, true])? {
            false => ClosingOutputs::Signed { dust_limit: Sat::read(from)? },
            true => ClosingOutputs::Complete {
                closer: chosen(from, &SIDES)?,
                lock_time: LockTime::read(from)?,
            },
        },
    })
}

fn script(from: &mut Reader<'_>) -> Result<Option<ScriptBuf>, RecordFlaw> {
    let has_one = chosen(from, &[false, true])?;
    Ok(if has_one { Some(Script::read(from)?) } else { None })
}
