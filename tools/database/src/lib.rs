//! A PostgreSQL server of one's own, for tests and benches: Debian's, in a folder, reached by a
//! socket there and by nothing else. It keeps to its defaults, so what it commits is on the disk.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Debian's place for the programs of each version.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// Who owns the database.
const USER: &str = "leyden";
/// Until it answers.
const START_MAX: Duration = Duration::from_secs(60);

/// A server that runs as long as this lives.
pub struct Database {
    server: Child,
    dir: PathBuf,
}

impl Database {
    /// Starts one in a folder that is there and empty, of which it becomes the owner.
    pub fn start(dir: &Path) -> Self {
        let programs = programs();
        let data = dir.join("data");
        let as_root = fs::metadata(dir).expect("the folder is there").uid() == 0;
        if as_root {
            // It does not run as root.
            run(Command::new("chown").arg("postgres").arg(dir));
        }
        let command = |name: &str| {
            let program = programs.join(name);
            if !as_root {
                return Command::new(program);
            }
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            command.arg(program).env("LC_ALL", "C");
            command
        };
        let mut init = command("initdb");
        init.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        run(init.arg(format!("--username={USER}")).arg("-D").arg(&data).current_dir(dir));
        let mut server = command("postgres");
        server.arg("-D").arg(&data).arg("-k").arg(dir).args(["-c", "listen_addresses="]);
        let server = server.current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = server.expect("it was just used to make its files");
        let mut database = Self { server, dir: dir.to_owned() };
        database.wait(&programs);
        database
    }

    /// Where it is reached.
    pub fn address(&self) -> String {
        format!("host={} user={USER} dbname=postgres", self.dir.display())
    }

    fn wait(&mut self, programs: &Path) {
        let begun = Instant::now();
        let is_ready = || {
            let mut asked = Command::new(programs.join("pg_isready"));
            let asked = asked.arg("-q").arg("-h").arg(&self.dir).args(["-U", USER]).status();
            asked.is_ok_and(|status| status.success())
        };
        while !is_ready() {
            assert!(begun.elapsed() < START_MAX, "the database does not start");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// At once: nobody needs its files any more.
impl Drop for Database {
    fn drop(&mut self) {
        let id = self.server.id().to_string();
        Command::new("kill").args(["-QUIT", &id]).status().ok();
        self.server.wait().ok();
    }
}

/// The newest version's.
fn programs() -> PathBuf {
    let versions = fs::read_dir(PROGRAMS).into_iter().flatten().flatten();
    let versions = versions.map(|version| version.path().join("bin"));
    let newest = versions.filter(|bin| bin.join("initdb").exists()).max();
    newest.expect("PostgreSQL is missing; run: apt-get install -y postgresql")
}

fn run(command: &mut Command) {
    let ran = command.output().expect("the program is there");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?}: {said}");
}
