"""OpenSearch with its security plugin: TLS, users, and what these may."""

import base64
import contextlib
import shutil
from pathlib import Path

from certificates import Authority
from feed import Feed
from opensearch import SEEN_SECONDS, check, dead, deliver, finish
from opensearch_node import Node
from report import Report
from servers import wait_until

# Of the plugin's own demonstration; it has no other user that may make users.
ADMIN = ("admin", "admin")
WRITER = ("siemline", "Deliver-2026-EXAMPLE")
CHANGED = "Changed-2026-EXAMPLE"
INDEX = "logs-siemline.ecs-default"
ROLE = {
    "cluster_permissions": ["cluster_composite_ops"],
    # To create documents and the data stream that they go to, and no more.
    "index_permissions": [{"index_patterns": ["logs-siemline.*"], "allowed_actions": [
        "indices:data/write/bulk*", "indices:data/write/index", "indices:admin/create", "indices:admin/mapping/auto_put",
    ]}],
}
SECURITY = {
    **{
        f"plugins.security.ssl.{layer}.{name}_filepath": file
        for layer in ("transport", "http")
        for name, file in (("pemcert", "node.pem"), ("pemkey", "node.key.pem"), ("pemtrustedcas", "ca.pem"))
    },
    "plugins.security.ssl.http.enabled": True,
    "plugins.security.ssl.transport.enforce_hostname_verification": False,
    "plugins.security.nodes_dn": ["CN=node"],
    "plugins.security.allow_default_init_securityindex": True,
    "plugins.security.restapi.roles_enabled": ["all_access"],
}


def run(suite, name: str, directory: Path, report: Report):
    """Templates by an administrator, events by a user who may do nothing else, and whose password changes in between."""
    plugin = suite.component("opensearch_security")
    case = report.case("TLS and users")
    with contextlib.closing(Node(suite, name, directory, {"opensearch-security": plugin}, SECURITY)) as node:
        conf = node.place / "conf"
        shutil.copytree(plugin / "config", conf / "opensearch-security")
        Authority(conf, "ca").issue("node")
        node.ca, node.authorization = conf / "ca.pem", basic(*ADMIN)
        node.start()
        node.must("PUT", "/_plugins/_security/api/roles/siemline", ROLE)
        set_password(node, WRITER[1])
        play(suite.binary, node, directory, case)


def play(binary: str, node: Node, directory: Path, report: Report):
    def feed(name: str, user: tuple, ca: str = f'[sink.elastic.out.http]\nca_file = "{node.ca}"\n') -> Feed:
        sink = f"""\
[sink.elastic.out]
endpoint = "{node.endpoint()}"
username = "{user[0]}"
password = {{ env = "PASSWORD" }}
{ca}[sink.elastic.out.lane]
pause_probe = "1s"
"""
        return Feed(binary, directory / name, sink, {"PASSWORD": user[1]})

    check(feed("stranger", ADMIN, ""), report, "ca_file", "to an authority that is not known")
    check(feed("wrong", (WRITER[0], "wrong")), report, "credentials are missing or wrong", "with a wrong password")
    done = feed("admin", ADMIN).command("setup elastic")
    report.check("setup elastic ends with exit code 0", done.returncode == 0, done.stderr)
    node.must("PUT", "/_plugins/_security/api/internalusers/guest", {"password": WRITER[1]})
    check(feed("guest", ("guest", WRITER[1])), report, "no permissions for [indices:data/write/index]", "as a user who may nothing")
    with contextlib.closing(feed("writer", WRITER)) as writer:
        check(writer, report, None, "as a user who may write and nothing else")
        deliver(writer, report, 200)
        report.check("a first run was delivered", len(node.accepted(INDEX)) == 200)
        writer.start()
        writer.put_findings(50)
        wait_until("more documents", SEEN_SECONDS, lambda: len(node.accepted(INDEX)) > 200)
        set_password(node, CHANGED)
        writer.put_steadily(150, 200)
        wait_until("the lane to pause", SEEN_SECONDS, lambda: writer.has_said("lane pauses") and writer.has_said("401"))
        report.faults["wrong passwords (401)"] += 1
        set_password(node, WRITER[1])
        finish(writer, report)
        report.settle(writer.sent, node.accepted(INDEX), dead(writer))


def set_password(node: Node, password: str):
    body = {"password": password, "opendistro_security_roles": ["siemline"]}
    node.must("PUT", f"/_plugins/_security/api/internalusers/{WRITER[0]}", body)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
