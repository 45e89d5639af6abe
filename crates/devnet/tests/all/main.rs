//! t
use devnet::*;
use bitcoin::*;
#[test]
fn smoke() {
    let t = std::time::Instant::now();
    let mut d = Devnet::in_memory().unwrap();
    println!("open {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let m = d.mine_many(110, None).unwrap();
    println!("{:?} {:?} {:?}", t.elapsed(), m.last(), d.tip());
    let a = d.fund(&ScriptBuf::new_p2a(), Amount::from_sat(100_000)).unwrap();
    println!("{a} {}", d.mempool().len());
    println!("{:?}", d.mine(None).unwrap());
    println!("{:?}", d.reorg(1, vec![]).unwrap());
    println!("{}", d.mempool().len());
    println!("{:?}", d.mine(None).unwrap());
    println!("{}", d.mempool().len());
    let h = d.tip().hash;
    println!("{:?}", d.invalidate(&h).unwrap().gone.len());
    println!("{} {:?}", d.mempool().len(), d.tip());
    println!("{:?}", d.reconsider(&h).unwrap().come.len());
    println!("{} {:?}", d.mempool().len(), d.tip());
    let mut b = (*d.ledger().node(&d.tip().hash).unwrap().block).clone();
    b.txdata[0].output[0].value = Amount::from_int_btc(60);
    b.header.prev_blockhash = d.tip().hash;
    devnet::ledger::coinbase_commitment(&mut b);
    devnet::ledger::grind(&mut b);
    println!("{:?}", d.submit_block(b.clone()).unwrap());
    b.header.time -= 60000;
    devnet::ledger::grind(&mut b);
    println!("{:?}", d.submit_block(b).unwrap());
    let mut b = (*d.ledger().node(&d.tip().hash).unwrap().block).clone();
    let mut script = vec![3, 1, 2, 3]; script.extend([0;5]);
    b.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(script);
    b.header.prev_blockhash = d.tip().hash;
    b.header.time += 5;
    devnet::ledger::coinbase_commitment(&mut b);
    devnet::ledger::grind(&mut b);
    println!("{:?}", d.submit_block(b.clone()).unwrap());
}
