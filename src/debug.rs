// SPDX-License-Identifier: GPL-2.0

//! The debugfs files, readable by root, in `/sys/kernel/debug/ashmem`.

use kernel::{
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    sync::Arc, //
};

use crate::{
    area::{
        Area,
        Shared,
        State, //
    },
    debugfs::{
        Dir,
        Lines,
        Text, //
    },
    name::Escaped,
    task::{
        self,
        Process, //
    },
    trace::Why,
    unpinned::Tally, //
};

/// The debugfs files, which are removed when this is dropped. Without `CONFIG_DEBUG_FS` there
/// are none.
pub(crate) type Files = Dir<Shared>;

/// Creates the files.
pub(crate) fn show(shared: Arc<Shared>) -> Files {
    Dir::new(c"ashmem", shared).lines(c"regions").text(c"stats")
}

/// `regions`: one line for each area.
impl Lines for Shared {
    const HEADING: &'static CStr =
        c"inode pid uid command size resident unpinned purged ranges mask state name\n";

    fn last(&self) -> usize {
        self.regions.last()
    }

    fn first_from(&self, number: usize) -> Option<usize> {
        self.regions.first_from(number)
    }

    fn print(&self, number: usize, m: &SeqFile) -> bool {
        self.regions.with(number, |area| region(area, m)).is_some()
    }
}

/// Prints the line of an area. `size` is in bytes, all other amounts of memory are in pages.
fn region(area: &Area, m: &SeqFile) {
    let view = View::of(area);
    let pid = area.opener();
    seq_print!(m, "{} {pid} ", view.inode);
    match Process::find(pid) {
        None => seq_print!(m, "- -"),
        Some(process) => {
            seq_print!(m, "{} ", process.uid);
            match process.command() {
                [] => seq_print!(m, "-"),
                command => m.call_printf(format_args!("{}", Escaped::word(command))),
            }
        }
    }
    let Tally {
        ranges,
        pages,
        purged,
    } = view.tally;
    let (size, resident) = (area.size(), view.resident);
    seq_print!(m, " {size} {resident} {pages} {purged} {ranges}");
    m.call_printf(format_args!(" {} {} ", area.mask(), view.state));
    area.with_name(|name| m.call_printf(format_args!("{}\n", Escaped::text(name.as_bytes()))));
}

/// The state of an area's memory: all zeros if it has not been mapped.
struct View {
    inode: u64,
    resident: usize,
    tally: Tally,
    state: &'static str,
}

impl View {
    fn of(area: &Area) -> Self {
        let (inode, resident, tally, state) = match area.state() {
            State::Empty => (0, 0, Tally::default(), "empty"),
            State::Sized => (0, 0, Tally::default(), "sized"),
            State::Mapped(backing) => (
                backing.file().inode_number(),
                backing.file().resident(),
                backing.tally(),
                if backing.is_mapped() {
                    "mapped"
                } else {
                    "unmapped"
                },
            ),
        };
        Self {
            inode,
            resident,
            tally,
            state,
        }
    }
}

/// `stats`: sums over all areas, then counts of events since the module was loaded.
impl Text for Shared {
    /// Fails with `EINTR` if the caller was killed. May sleep.
    fn print(&self, m: &SeqFile) -> Result {
        let (mut count, mut size, mut resident) = (0, 0_usize, 0_usize);
        let mut tally = Tally::default();
        self.regions.for_each(|area| {
            if task::was_killed() {
                return Err(EINTR);
            }
            let view = View::of(area);
            count += 1;
            // Until an area is mapped, its size uses no memory and can be any number.
            if area.backing().is_some() {
                size = size.saturating_add(area.size());
            }
            resident = resident.saturating_add(view.resident);
            // The sparse file of an area can be so large that the sums would overflow.
            tally.ranges = tally.ranges.saturating_add(view.tally.ranges);
            tally.pages = tally.pages.saturating_add(view.tally.pages);
            tally.purged = tally.purged.saturating_add(view.tally.purged);
            Ok(())
        })?;
        let past = self.reclaim.past();
        line(m, "regions", count);
        line(m, "size", size);
        line(m, "resident", resident);
        line(m, "unpinned", tally.pages);
        line(m, "purged", tally.purged);
        line(m, "ranges", tally.ranges);
        line(m, "pages_unpinned", past.unpinned);
        for why in Why::ALL {
            seq_print!(m, "purged_");
            line(m, why.name(), past.purged(why));
        }
        line(m, "ranges_skipped", past.skipped);
        line(m, "pins_of_purged", past.found_purged);
        Ok(())
    }
}

/// Prints a name and its value.
// Not inlined, to have the formatting code only once.
#[inline(never)]
fn line(m: &SeqFile, name: &str, value: usize) {
    seq_print!(m, "{name} {value}\n");
}
