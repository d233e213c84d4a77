//! Guards that the embedded table parses, that every reference in it leads somewhere, and single facts of the reference.

use super::{event, table};
use crate::vocabulary::AttributeType;

#[test]
fn the_embedded_table_is_whole() {
    assert_eq!((table().version(), table().rest()), ("8.17.0", "ocsf"));
    assert!(event().shape.attribute(table().rest()).is_none(), "no mapping writes the rest");
    let shapes = table().objects().iter().map(|object| &object.shape).chain([&event().shape]);
    for attribute in shapes.flat_map(|shape| &shape.attributes) {
        assert_eq!(attribute.is_object(), table().object_of(attribute).is_some(), "{}", attribute.name);
        assert!(attribute.sibling.is_none() && attribute.observable.is_none() && attribute.profiles.is_empty());
    }
}

#[test]
fn fields_are_as_the_reference_has_them() {
    for (path, type_name, attribute_type) in [
        ("@timestamp", "date", AttributeType::Date),
        ("event.category[]", "keyword", AttributeType::Text { chars_max: None }),
        ("event.duration", "long", AttributeType::Long),
        ("source.ip", "ip", AttributeType::Ip),
        ("source.geo.location.lat", "float", AttributeType::Float),
        ("host.ip[]", "ip", AttributeType::Ip),
        ("process.parent.hash.sha256", "keyword", AttributeType::Text { chars_max: None }),
        ("threat.technique.subtechnique.id[]", "keyword", AttributeType::Text { chars_max: None }),
        ("url.full", "wildcard", AttributeType::Text { chars_max: None }),
    ] {
        let attribute = table().resolve::<&str>(&event().shape, path, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((attribute.type_name, attribute.attribute_type), (type_name, attribute_type), "{path}");
    }
    let wrong = table().resolve::<&str>(&event().shape, "event.catagory[]", &[]).unwrap_err();
    assert!(wrong.to_string().contains("did you mean \"category\"?"), "{wrong}");
}
