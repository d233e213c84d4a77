"""Small findings of our own, as GuardDuty publishes them, each with an id of its own."""

import gzip
import json
import random

ACCOUNT = "111122223333"
REGION = "eu-west-1"
TIME = "2026-01-31T12:00:00Z"

# Type, severity, and the action that comes with it.
KINDS = [
    ("UnauthorizedAccess:EC2/SSHBruteForce", 5.0, "connection"),
    ("Backdoor:EC2/C&CActivity.B", 8.0, "connection"),
    ("Trojan:EC2/DNSDataExfiltration", 8.0, "dns"),
    ("Recon:EC2/PortProbeUnprotectedPort", 2.0, "probe"),
    ("Policy:IAMUser/RootCredentialUsage", 2.0, "call"),
    ("CryptoCurrency:EC2/BitcoinTool.B!DNS", 9.0, "dns"),
]


class Findings:
    """Makes findings out of a seed: the same seed, the same findings."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.made = 0

    def finding(self) -> tuple:
        """The id of a new finding, and its text as a log event holds it: bare, or as EventBridge wraps it."""
        self.made += 1
        finding_id = f"{self.random.getrandbits(96):024x}{self.made:08x}"
        kind, severity, action = self.random.choice(KINDS)
        finding = {
            "schemaVersion": "2.0", "accountId": ACCOUNT, "region": REGION, "partition": "aws", "id": finding_id,
            "arn": f"arn:aws:guardduty:{REGION}:{ACCOUNT}:detector/0123456789abcdef0123456789EXAMPLE/finding/{finding_id}",
            "type": kind, "severity": severity, "createdAt": TIME, "updatedAt": TIME,
            "title": f"finding {self.made} of the real-server suite", "description": "made by a test; “nothing happened”",
            "resource": self.resource(action),
            "service": {
                "serviceName": "guardduty", "detectorId": "0123456789abcdef0123456789EXAMPLE", "archived": False,
                "count": self.random.randint(1, 9), "eventFirstSeen": TIME, "eventLastSeen": TIME,
                "resourceRole": "TARGET", "action": self.action(action),
            },
        }
        if self.random.random() < 0.5:
            return finding_id, compact(finding)
        event = {
            "version": "0", "id": f"{self.random.getrandbits(32):08x}-0000-4000-8000-{self.made:012x}",
            "detail-type": "GuardDuty Finding", "source": "aws.guardduty", "account": ACCOUNT, "time": TIME,
            "region": REGION, "resources": [], "detail": finding,
        }
        return finding_id, compact(event)

    def resource(self, action: str) -> dict:
        if action == "call":
            key = {"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "principalId": ACCOUNT, "userName": "Root", "userType": "Root"}
            return {"resourceType": "AccessKey", "accessKeyDetails": key}
        return {"resourceType": "Instance", "instanceDetails": {"instanceId": f"i-{self.random.getrandbits(68):017x}"}}

    def action(self, action: str) -> dict:
        remote = {"ipAddressV4": f"198.51.100.{self.random.randint(1, 254)}"}
        port = {"port": self.random.randint(1024, 65535)}
        if action == "dns":
            dns = {"domain": f"h{self.made}.example.com", "protocol": "UDP", "blocked": False}
            return {"actionType": "DNS_REQUEST", "dnsRequestAction": dns}
        if action == "probe":
            probe = {"localPortDetails": {"port": 22, "portName": "SSH"}, "remoteIpDetails": remote}
            return {"actionType": "PORT_PROBE", "portProbeAction": {"blocked": False, "portProbeDetails": [probe]}}
        if action == "call":
            call = {"api": "ListBuckets", "serviceName": "s3.amazonaws.com", "callerType": "Remote IP", "remoteIpDetails": remote}
            return {"actionType": "AWS_API_CALL", "awsApiCallAction": call}
        connection = {
            "connectionDirection": self.random.choice(["INBOUND", "OUTBOUND"]), "protocol": "TCP", "blocked": False,
            "localPortDetails": {"port": 22}, "remotePortDetails": port, "remoteIpDetails": remote,
        }
        return {"actionType": "NETWORK_CONNECTION", "networkConnectionAction": connection}

    def plain(self) -> tuple:
        """The id of a new finding in a list, and a Kinesis record that is the finding and nothing else."""
        finding_id, text = self.finding()
        return [finding_id], text.encode()

    def record(self, group: str, stream: str) -> tuple:
        """The ids of one to three findings, and the Kinesis record with them that a subscription filter would write."""
        made = [self.finding() for _ in range(self.random.randint(1, 3))]
        first = self.made * 1000
        document = {
            "messageType": "DATA_MESSAGE", "owner": ACCOUNT, "logGroup": group, "logStream": stream,
            "subscriptionFilters": ["findings"],
            "logEvents": [
                {"id": f"{first + index:056d}", "timestamp": 1769860800000 + index, "message": text}
                for index, (_, text) in enumerate(made)
            ],
        }
        return [finding_id for finding_id, _ in made], gzip.compress(compact(document).encode(), 6)


def compact(value) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
