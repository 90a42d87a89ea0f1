//! Which release goes before which.

use super::releases::Release;

/// How many releases, one needing the next, must stand before each. Needs that no release answers do not count, and a
/// circle of needs ends at the number of releases.
pub fn depths(releases: &[Release]) -> Vec<usize> {
    let mut depths = vec![0; releases.len()];
    for _ in 0..releases.len() {
        let deeper: Vec<usize> = releases.iter().map(|r| depth(r, releases, &depths)).collect();
        if deeper == depths {
            break;
        }
        depths = deeper;
    }
    depths
}

fn depth(release: &Release, releases: &[Release], depths: &[usize]) -> usize {
    let before = releases.iter().zip(depths).filter(|(other, _)| {
        other.namespace == release.namespace && other.name != release.name && release.needs.contains(&other.name)
    });
    before.map(|(_, depth)| depth + 1).max().unwrap_or(0)
}

/// The releases in an order in which each comes after what it needs; those of one depth keep their order.
pub fn by_needs(releases: &[Release]) -> Vec<&Release> {
    let mut order: Vec<(usize, &Release)> = depths(releases).into_iter().zip(releases).collect();
    order.sort_by_key(|(depth, _)| *depth);
    order.into_iter().map(|(_, release)| release).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::releases::samples::{oci, stack};

    #[test]
    fn what_is_needed_comes_first_and_the_rest_keeps_its_order() {
        let stack = stack();
        assert_eq!(depths(&stack), [2, 2, 1, 1, 0]);
        let names: Vec<&str> = by_needs(&stack).iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["infra", "pool-a", "pool-b", "ms-b", "ms-a"]);
    }

    #[test]
    fn a_release_of_another_namespace_answers_no_need() {
        let mut other = oci("infra", &[]);
        other.namespace = "elsewhere".into();
        assert_eq!(depths(&[oci("pool", &["infra"]), other]), [0, 0]);
    }

    #[test]
    fn a_circle_ends() {
        assert_eq!(depths(&[oci("a", &["b"]), oci("b", &["a"]), oci("c", &["c"])]).len(), 3);
    }
}
