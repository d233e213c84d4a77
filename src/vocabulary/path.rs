//! Dotted paths (`evidences[].src_endpoint.ip`) to attributes.

use super::nearest;
use super::table::{Attribute, Shape, Table};

/// Why a path leads to no attribute, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {kind}")]
pub struct PathError {
    /// The path up to and with the segment that is wrong.
    pub at: String,
    /// What is wrong there.
    pub kind: PathErrorKind,
}

/// What is wrong with a segment of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathErrorKind {
    /// The shape has no such attribute.
    #[error("{shape} has no attribute {name:?}{}", suggestion(*nearest))]
    UnknownAttribute {
        /// The segment's name.
        name: String,
        /// The class or object that was asked.
        shape: &'static str,
        /// The attribute that was probably meant; one that the declared profiles allow.
        nearest: Option<&'static str>,
    },
    /// The path goes on below an attribute that holds no object.
    #[error("{type_name} has nothing below it")]
    NotAnObject {
        /// The type of the attribute.
        type_name: &'static str,
    },
    /// The path goes on below an object that takes any key: such an object is written whole.
    #[error("an open object is written whole")]
    OpenObject,
    /// The attribute is an array and the path lacks its `[]`.
    #[error("is an array: write {name}[]")]
    ArrayMissing {
        /// The attribute.
        name: &'static str,
    },
    /// The path has a `[]` and the attribute is no array.
    #[error("is no array: write {name}")]
    ArrayUnexpected {
        /// The attribute.
        name: &'static str,
    },
    /// The attribute exists only under profiles none of which is declared.
    #[error("needs profile {}", needs.join(" or "))]
    ProfileMissing {
        /// Any of these would do.
        needs: Vec<&'static str>,
    },
    /// The schema deprecated the attribute, or the object that it holds.
    #[error("deprecated since OCSF {since}")]
    Deprecated {
        /// The version.
        since: &'static str,
    },
}

impl Table {
    /// Follows a dotted path from a class or object to its attribute. An array has `[]` after its name, everywhere.
    ///
    /// `declared` are the profiles of `metadata.profiles`. Of several faults the first on the way is told.
    pub fn resolve<'a, S: AsRef<str>>(
        &'a self,
        from: &'a Shape,
        path: &str,
        declared: &[S],
    ) -> Result<&'a Attribute, PathError> {
        let mut shape = from;
        let mut end = 0;
        let mut found: Option<&Attribute> = None;
        for segment in path.split('.') {
            let above = path.get(..end.max(1) - 1).unwrap_or_default();
            end += segment.len() + 1;
            let fault = |at: &str, kind| Err(PathError { at: at.to_owned(), kind });
            let at = path.get(..end - 1).unwrap_or(path);
            if let Some(attribute) = found {
                match self.object_of(attribute) {
                    Some(object) if object.shape.is_open() => return fault(above, PathErrorKind::OpenObject),
                    Some(object) => shape = &object.shape,
                    None => return fault(above, PathErrorKind::NotAnObject { type_name: attribute.type_name }),
                }
            }
            let (name, has_brackets) = segment.strip_suffix("[]").map_or((segment, false), |name| (name, true));
            let Some(attribute) = shape.attribute(name) else {
                let legal = shape.attributes.iter();
                let legal = legal.filter(|attribute| attribute.is_in_force(declared) && attribute.deprecated.is_none());
                let nearest = nearest(name, legal.map(|attribute| attribute.name));
                return fault(
                    at,
                    PathErrorKind::UnknownAttribute { name: name.to_owned(), shape: shape.name, nearest },
                );
            };
            if !attribute.is_in_force(declared) {
                return fault(at, PathErrorKind::ProfileMissing { needs: attribute.profiles.clone() });
            }
            if attribute.is_array && !has_brackets {
                return fault(at, PathErrorKind::ArrayMissing { name: attribute.name });
            }
            if !attribute.is_array && has_brackets {
                return fault(at, PathErrorKind::ArrayUnexpected { name: attribute.name });
            }
            let of_object = || self.object_of(attribute).and_then(|object| object.shape.deprecated);
            if let Some(since) = attribute.deprecated.or_else(of_object) {
                return fault(at, PathErrorKind::Deprecated { since });
            }
            found = Some(attribute);
        }
        // `split` gives at least one segment, and a segment gives an attribute or returns.
        found.ok_or_else(|| PathError {
            at: path.to_owned(),
            kind: PathErrorKind::UnknownAttribute { name: path.to_owned(), shape: from.name, nearest: None },
        })
    }
}

fn suggestion(nearest: Option<&'static str>) -> String {
    nearest.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}
