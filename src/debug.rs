// SPDX-License-Identifier: GPL-2.0

//! What root sees in debugfs, below `/sys/kernel/debug/ashmem`.

use core::fmt;

use kernel::{
    debugfs::Scope,
    prelude::*,
    sync::Arc, //
};

use crate::{
    area::{
        Area,
        Shared,
        State, //
    },
    name::Escaped,
    task::Process,
    trace::Why,
    unpinned::Tally, //
};

/// The files, until this is dropped. There are none in a kernel without debugfs.
pub(crate) type Files = Pin<KBox<Scope<Arc<Shared>>>>;

/// Makes the files.
///
/// Fails with `ENOMEM`; debugfs itself fails silently.
pub(crate) fn show(shared: Arc<Shared>) -> Result<Files> {
    let files = Scope::dir(Ok::<_, Error>(shared), c"ashmem", |shared, dir| {
        dir.read_callback_file(c"regions", shared, &regions);
        dir.read_callback_file(c"stats", shared, &stats);
    });
    KBox::pin_init(files, GFP_KERNEL)
}

/// A line for each region, below one that names the columns.
fn regions(shared: &Arc<Shared>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("inode pid uid command size resident unpinned purged ranges mask state name\n")?;
    let mut result = Ok(());
    shared.regions.for_each(|area| {
        if result.is_ok() {
            result = region(area, f);
        }
    });
    result
}

/// Sizes are in bytes, all else in pages.
fn region(area: &Area, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let view = View::of(area);
    let pid = area.opener();
    write!(f, "{} {pid} ", view.inode)?;
    match Process::find(pid) {
        None => f.write_str("- -")?,
        Some(process) => {
            write!(f, "{} ", process.uid)?;
            match process.command() {
                [] => f.write_str("-")?,
                command => write!(f, "{}", Escaped::word(command))?,
            }
        }
    }
    let Tally {
        ranges,
        pages,
        purged,
    } = view.tally;
    write!(
        f,
        " {} {} {pages} {purged} {ranges}",
        area.size(),
        view.resident
    )?;
    write!(f, " {} {} ", area.mask(), view.state)?;
    area.with_name(|name| writeln!(f, "{}", Escaped::text(name.as_bytes())))
}

/// What there is to see of a region's memory.
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

/// Sums of what there is, then of what has happened since the module was loaded.
fn stats(shared: &Arc<Shared>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut count, mut size, mut resident) = (0, 0_usize, 0_usize);
    let mut tally = Tally::default();
    shared.regions.for_each(|area| {
        let view = View::of(area);
        count += 1;
        size = size.saturating_add(area.size());
        resident = resident.saturating_add(view.resident);
        // A region can be as large as a file can be in theory.
        tally.ranges = tally.ranges.saturating_add(view.tally.ranges);
        tally.pages = tally.pages.saturating_add(view.tally.pages);
        tally.purged = tally.purged.saturating_add(view.tally.purged);
    });
    writeln!(f, "regions {count}")?;
    writeln!(f, "size {size}")?;
    writeln!(f, "resident {resident}")?;
    writeln!(f, "unpinned {}", tally.pages)?;
    writeln!(f, "purged {}", tally.purged)?;
    writeln!(f, "ranges {}", tally.ranges)?;
    let past = shared.reclaim.past();
    writeln!(f, "unpinned_so_far {}", past.unpinned)?;
    for why in Why::ALL {
        writeln!(f, "purged_for_{} {}", why.name(), past.purged(why))?;
    }
    writeln!(f, "left_out_so_far {}", past.left_out)?;
    writeln!(f, "pins_of_purged {}", past.found_purged)
}
