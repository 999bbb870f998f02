//! Cutting files into documents, and what is said of each that is bad.

use super::*;

#[track_caller]
fn check(text: &str, pods: &[&str], reports: &[&str]) {
    let (objects, found) = parsed(text);
    assert_eq!(pod_names(&objects), pods);
    assert_eq!(found, reports);
}

#[test]
fn several_documents_with_comments_and_marks() {
    let text = format!("# head\n---\n{}--- # next\n{}...\n---\n\n# nothing\n---\n{}", pod("a"), pod("b"), pod("c"));
    check(&text, &["a", "b", "c"], &[]);
    check(&text.replace('\n', "\r\n"), &["a", "b", "c"], &[]);
    check(&format!("\u{feff}%YAML 1.2\n---\n{}", pod("a")), &["a"], &[]);
    check("", &[], &[]);
    check("---\n---\n# only\n", &[], &[]);
}

#[test]
fn a_broken_document_takes_no_other_with_it() {
    let text = format!("{}---\nkind: [\n---\n{}", pod("a"), pod("b"));
    let (objects, reports) = parsed(&text);
    assert_eq!(pod_names(&objects), ["a", "b"]);
    assert_eq!(reports.len(), 1);
    let line: u32 = reports[0].strip_prefix("a.yaml:").unwrap().split(':').next().unwrap().parse().unwrap();
    assert!((6..=8).contains(&line), "{reports:?}");
}

#[test]
fn a_bad_object_is_named_with_its_line_and_field() {
    let text = format!("{}---\n# here\n\n{}spec: {{hostNetwork: 7}}\n", pod("a"), pod("b"));
    check(
        &text,
        &["a"],
        &["a.yaml:9: Pod `shop/b`: `spec.hostNetwork`: invalid type: integer `7`, expected a boolean"],
    );
    let address = pod("b") + "status: {podIPs: [{ip: 10.0.0.256}]}\n";
    check(&address, &[], &["a.yaml:1: Pod `shop/b`: `status.podIPs`: `10.0.0.256` is not an address"]);
    let port = pod("b") + "spec: {containers: [{ports: [{containerPort: 70000}]}]}\n";
    check(
        &port,
        &[],
        &[
            "a.yaml:1: Pod `shop/b`: `spec.containers[0].ports[0].containerPort`: invalid value: integer `70000`, expected u16",
        ],
    );
    let label = pod("b") + "  labels: {app: 'a=b'}\n";
    check(&label, &[], &["a.yaml:1: Pod `shop/b`: `metadata.labels`: `a=b` is not a label value"]);
    check(
        "{apiVersion: v1, kind: Pod, metadata: {namespace: shop}}",
        &[],
        &["a.yaml:1: Pod `shop/?`: `metadata.name` is missing"],
    );
    check(
        "{apiVersion: v1, kind: Pod, metadata: {name: 'a/b'}}",
        &[],
        &["a.yaml:1: Pod `a/b`: `metadata.name`: `a/b` is not 1 to 253 printable characters without slash or space"],
    );
    let time = pod("b") + "status: {startTime: yesterday}\n";
    check(&time, &[], &["a.yaml:1: Pod `shop/b`: `status.startTime`: `yesterday` is not a time after 1970"]);
}

#[test]
fn what_is_no_object() {
    let why = "it is not a kubernetes object: no apiVersion and kind";
    check("just text", &[], &[&format!("a.yaml:1: {why}")]);
    check("- a\n- b\n", &[], &[&format!("a.yaml:1: {why}")]);
    check("\n\nreplicas: 3\n", &[], &[&format!("a.yaml:3: {why}")]);
}

#[test]
fn lists_are_unpacked_with_the_line_of_each_item() {
    let text = "apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: a}
- apiVersion: v1
  kind: Pod
  metadata: {name: ''}
- apiVersion: v1
  kind: Pod
  metadata: {name: c}
";
    check(text, &["a", "c"], &["a.yaml:7: Pod `?`: `metadata.name` is missing"]);
    let typed = "{apiVersion: v1, kind: PodList, items: [{metadata: {name: a}}, {metadata: {name: b}}]}";
    check(typed, &["a", "b"], &[]);
    let nested = "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: a}}, 7]}";
    check(nested, &["a"], &["a.yaml:1: it is not a kubernetes object: no apiVersion and kind"]);
}

#[test]
fn json_with_several_values() {
    let text =
        "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}\n\n{\"apiVersion\": \"v1\",
 \"kind\": \"Pod\", \"metadata\": {\"name\": 7}}\n{\"apiVersion\": ";
    let (objects, invalid) = parse("a.json", text.as_bytes(), Limits::default());
    assert_eq!(pod_names(&objects), ["a"]);
    let reports: Vec<String> = invalid.iter().map(ToString::to_string).collect();
    assert_eq!(
        reports,
        [
            "a.json:3: Pod `?`: `metadata.name`: invalid type: integer `7`, expected a string",
            "a.json:5: EOF while parsing a value"
        ]
    );
}

#[test]
fn other_kinds_are_counted() {
    let text = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: b}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
";
    let (objects, reports) = parsed(text);
    assert_eq!(reports, [""; 0]);
    assert_eq!(objects.len(), 0);
    let counted: Vec<(&str, u64)> = objects.other_kinds.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
    assert_eq!(counted, [("networking.k8s.io/v1 NetworkPolicy", 2), ("v1 ConfigMap", 1)]);
}

#[test]
fn of_two_with_one_name_the_first_is_used() {
    let text = format!("{}  labels: {{v: one}}\n---\n{}  labels: {{v: two}}\n", pod("a"), pod("a"));
    let (objects, reports) = parsed(&text);
    assert_eq!(objects.pods.len(), 1);
    assert_eq!(objects.pods[0].meta.labels["v"], "one");
    assert_eq!(reports, ["a.yaml:8: Pod `shop/a`: is the same as the one at a.yaml:1, which is used"]);
    let uids = format!("{}  uid: u\n---\n{}  uid: u\n", pod("a"), pod("b"));
    check(&uids, &["a"], &["a.yaml:8: Pod `shop/b`: is the same as the one at a.yaml:1, which is used"]);
}

#[test]
fn nulls_are_absent() {
    let text = "apiVersion: v1
kind: Pod
metadata: {name: a, labels: null, annotations: , creationTimestamp: null, ownerReferences: null}
spec: {containers: null, nodeName: ''}
status: null
";
    check(text, &["a"], &[]);
    check("{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {empty: , bare: null}}}", &["a"], &[]);
}

#[test]
fn tags_in_records_cannot_be_names() {
    for name in ["'-'", "'*'", "' '", "\"a\\nb\""] {
        let (objects, reports) = parsed(&format!("{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}}}"));
        assert_eq!((objects.len(), reports.len()), (0, 1), "{name}");
        assert!(!reports[0].contains('\n'), "{reports:?}");
    }
}
