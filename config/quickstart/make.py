#!/usr/bin/env python3
"""Writes the quickstart's records: `config/quickstart/records/*.gz`.

Each file is one record as Kinesis hands it over from a CloudWatch Logs subscription: a gzip'd document. All of it is made
up here, one bad morning of the account 111122223333: addresses are of the documentation ranges (RFC 5737, RFC 3849),
AS numbers too (RFC 5398), domains end in `example.com`, keys in EXAMPLE. The output is the same on every run.

usage: make.py [DIRECTORY]
"""

import json
import pathlib
import struct
import sys
import zlib
from datetime import datetime, timedelta, timezone

ACCOUNT, OTHER, REGION = "111122223333", "444455556666", "eu-west-1"
DETECTOR = "d0000000000000000000000000000001"
MORNING = datetime(2025, 3, 4, 8, 0, tzinfo=timezone.utc)


def at(minute):
    """The time so many minutes into the morning, as findings and CloudTrail spell it."""
    return (MORNING + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def ms(minute):
    return int((MORNING + timedelta(minutes=minute)).timestamp() * 1000)


# ---- who and what the findings are about


def remote(ip, asn=64500, name="Example Transit", country="Netherlands", city="Amsterdam", lat=52.37, lon=4.89):
    key = "ipAddressV6" if ":" in ip else "ipAddressV4"
    return {
        key: ip,
        "organization": {"asn": str(asn), "asnOrg": name, "isp": name, "org": name},
        "country": {"countryName": country},
        "city": {"cityName": city},
        "geoLocation": {"lat": lat, "lon": lon},
    }


INSTANCE = {
    "resourceType": "Instance",
    "instanceDetails": {
        "instanceId": "i-0a1b2c3d4e5f60718", "instanceType": "t3.medium", "instanceState": "running",
        "launchTime": "2025-01-15T10:00:00.000Z", "availabilityZone": "eu-west-1b", "imageId": "ami-0a1b2c3d4e5f60718",
        "tags": [{"key": "Name", "value": "web-1"}, {"key": "team", "value": "shop"}],
        "networkInterfaces": [{
            "networkInterfaceId": "eni-0a1b2c3d4e5f60718", "privateIpAddress": "10.0.1.20", "publicIp": "198.51.100.20",
            "privateDnsName": "ip-10-0-1-20.eu-west-1.compute.internal",
            "vpcId": "vpc-0a1b2c3d", "subnetId": "subnet-0a1b2c3d",
            "securityGroups": [{"groupId": "sg-0a1b2c3d", "groupName": "web"}],
        }],
    },
}


def key(user, kind="IAMUser"):
    details = {"accessKeyId": f"AKIA{user.upper()}EXAMPLE", "principalId": f"AIDA{user.upper()}EXAMPLE"}
    return {"resourceType": "AccessKey", "accessKeyDetails": {**details, "userName": user, "userType": kind}}


def bucket(name, permission="NOT_PUBLIC"):
    details = {
        "arn": f"arn:aws:s3:::{name}", "name": name, "type": "Destination", "createdAt": 1704103200.0,
        "owner": {"id": "canonical-0a1b2c3d"}, "tags": [{"key": "data", "value": "orders"}],
        "defaultServerSideEncryption": {"encryptionType": "aws:kms", "kmsMasterKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/orders"},
        "publicAccess": {"effectivePermission": permission},
    }
    return {"resourceType": "S3Bucket", "accessKeyDetails": key("carol")["accessKeyDetails"], "s3BucketDetails": [details]}


CLUSTER = {
    "name": "shop", "arn": f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/shop", "vpcId": "vpc-0a1b2c3d", "status": "ACTIVE",
    "createdAt": 1704103200.5,
}


def kubernetes(user, workload=None):
    details = {"kubernetesUserDetails": {"username": user, "uid": "k8s-" + user.replace(":", "-"), "groups": ["system:authenticated"]}}
    if workload:
        details["kubernetesWorkloadDetails"] = workload
    return {"resourceType": "EKSCluster", "eksClusterDetails": CLUSTER, "kubernetesDetails": details}


DATABASE = {
    "resourceType": "RDSDBInstance",
    "rdsDbInstanceDetails": {
        "dbInstanceIdentifier": "orders-1", "dbInstanceArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:db:orders-1",
        "dbClusterIdentifier": "orders", "engine": "Aurora PostgreSQL", "engineVersion": "16.4",
    },
    "rdsDbUserDetails": {"user": "app", "application": "psql", "database": "orders", "ssl": "TLSv1.3", "authMethod": "password"},
}


# ---- what was seen


def connection(direction, remote_ip, local_port, remote_port, protocol="TCP", blocked=False):
    return {"actionType": "NETWORK_CONNECTION", "networkConnectionAction": {
        "connectionDirection": direction, "protocol": protocol, "blocked": blocked,
        "localIpDetails": {"ipAddressV4": "10.0.1.20"}, "localNetworkInterface": "eni-0a1b2c3d4e5f60718",
        "localPortDetails": {"port": local_port, "portName": "SSH" if local_port == 22 else "Unknown"},
        "remoteIpDetails": remote(remote_ip), "remotePortDetails": {"port": remote_port, "portName": "Unknown"},
    }}


def dns(domain, blocked=False):
    return {"actionType": "DNS_REQUEST", "dnsRequestAction": {"domain": domain, "protocol": "UDP", "blocked": blocked}}


def call(api, service, ip, error=None, agent="aws-cli/2.24"):
    action = {"api": api, "serviceName": service, "callerType": "Remote IP", "remoteIpDetails": remote(ip), "userAgent": agent}
    if error:
        action["errorCode"] = error
    return {"actionType": "AWS_API_CALL", "awsApiCallAction": action}


def kubernetes_call(verb, uri, ip, code=200, **about):
    return {"actionType": "KUBERNETES_API_CALL", "kubernetesApiCallAction": {
        "verb": verb, "requestUri": uri, "statusCode": code, "userAgent": "kubectl/v1.31", "sourceIPs": [ip],
        "remoteIpDetails": remote(ip), **about,
    }}


def process(name, path, pid, **more):
    return {
        "name": name, "executablePath": path, "executableSha256": (name.encode().hex() * 64)[:64], "pid": pid,
        "namespacePid": pid, "pwd": "/tmp", "startTime": 1741075200.25, "uuid": f"process-{pid}", "parentUuid": "process-1",
        "user": "www-data", "userId": 33, "euid": 33,
        "lineage": [{"name": "nginx", "pid": 1, "uuid": "process-1", "executablePath": "/usr/sbin/nginx", "userId": 0, "startTime": 1741060800.0}],
        **more,
    }


def volume_scan(threat, path):
    return {
        "scanId": "scan-0a1b2c3d", "scanType": "GUARDDUTY_INITIATED", "scanStartedAt": at(30), "scanCompletedAt": at(38),
        "triggerFindingId": "f0000000000000000000000000000003", "sources": ["Amazon"],
        "scanDetections": {
            "scannedItemCount": {"totalGb": 8, "files": 40210, "volumes": 1},
            "threatsDetectedItemCount": {"files": 1},
            "highestSeverityThreatDetails": {"severity": "HIGH", "threatName": threat, "count": 1},
            "threatDetectedByName": {"itemCount": 1, "uniqueThreatNameCount": 1, "shortened": False, "threatNames": [{
                "name": threat, "severity": "HIGH", "itemCount": 1,
                "filePaths": [{"filePath": path, "fileName": path.rsplit("/", 1)[-1], "hash": "ab" * 32,
                               "volumeArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/vol-0a1b2c3d"}],
            }]},
        },
    }


SEQUENCE = {
    "uid": "sequence-0a1b2c3d", "description": "A stolen key, a changed policy, and data that left.",
    "actors": [{"id": "actor-1", "user": {"name": "carol", "uid": "AIDACAROLEXAMPLE", "type": "IAMUser",
                                          "credentialUid": "AKIACAROLEXAMPLE", "account": {"uid": ACCOUNT}},
                "session": {"uid": "session-1", "mfaStatus": "DISABLED", "createdTime": 1741077000.0, "issuer": "console"}}],
    "resources": [{"uid": "arn:aws:s3:::example-orders", "name": "example-orders", "accountId": ACCOUNT, "region": REGION,
                   "resourceType": "S3_BUCKET", "service": "s3", "cloudPartition": "aws",
                   "data": {"s3Bucket": {"effectivePermission": "NOT_PUBLIC", "encryptionType": "aws:kms"}}}],
    "endpoints": [{"id": "endpoint-1", "ip": "203.0.113.66", "port": 443,
                   "autonomousSystem": {"name": "Example Hosting", "number": 64501},
                   "location": {"city": "Vienna", "country": "Austria", "lat": 48.2, "lon": 16.37},
                   "connection": {"direction": "INBOUND"}}],
    "signals": [
        {"uid": "signal-1", "type": "FINDING", "name": "UnauthorizedAccess:IAMUser/ConsoleLoginSuccess.B", "severity": 5.0,
         "count": 1, "createdAt": 1741077300.0, "updatedAt": 1741077300.0, "firstSeenAt": 1741077000.0, "lastSeenAt": 1741077000.0,
         "actorIds": ["actor-1"], "endpointIds": ["endpoint-1"]},
        {"uid": "signal-2", "type": "CLOUD_TRAIL", "name": "PutBucketPolicy", "severity": 3.0, "count": 2,
         "createdAt": 1741077900.0, "updatedAt": 1741078200.0, "firstSeenAt": 1741077900.0, "lastSeenAt": 1741078200.0,
         "resourceUids": ["arn:aws:s3:::example-orders"]},
    ],
    "sequenceIndicators": [
        {"key": "ATTACK_TACTIC", "title": "Tactics", "values": ["Initial Access", "Exfiltration"]},
        {"key": "ATTACK_TECHNIQUE", "title": "Techniques", "values": ["T1078.004 - Valid Accounts: Cloud Accounts"]},
        {"key": "SUSPICIOUS_NETWORK", "title": "Networks", "values": ["Example Hosting"]},
    ],
}

# Type, severity, minute, resource, action, and what else the service says. Those of the first list come as EventBridge hands
# them over, those of the second bare.

ENVELOPED = [
    ("Recon:EC2/PortProbeUnprotectedPort", 2.0, 1, INSTANCE, {"actionType": "PORT_PROBE", "portProbeAction": {
        "blocked": False, "portProbeDetails": [
            {"localPortDetails": {"port": 22, "portName": "SSH"}, "localIpDetails": {"ipAddressV4": "10.0.1.20"}, "remoteIpDetails": remote("203.0.113.5")},
            {"localPortDetails": {"port": 443, "portName": "HTTPS"}, "localIpDetails": {"ipAddressV4": "10.0.1.20"}, "remoteIpDetails": remote("192.0.2.44", 64502, "Example Cable", "Chile", "Santiago", -33.45, -70.67)},
        ]}}, {"count": 17}),
    ("UnauthorizedAccess:EC2/SSHBruteForce", 5.0, 4, INSTANCE, connection("INBOUND", "203.0.113.5", 22, 40112), {"count": 212}),
    ("Trojan:EC2/DNSDataExfiltration", 8.0, 9, INSTANCE, dns("x7f3.data.example.com"), {}),
    ("CryptoCurrency:EC2/BitcoinTool.B!DNS", 8.0, 11, INSTANCE, dns("pool.example.com", blocked=True), {}),
    ("Backdoor:EC2/C&CActivity.B", 8.95, 13, INSTANCE, connection("OUTBOUND", "203.0.113.66", 49152, 443), {
        "evidence": {"threatIntelligenceDetails": [{"threatListName": "ExampleList", "threatNames": ["example-botnet"]}]}}),
    ("UnauthorizedAccess:IAMUser/ConsoleLoginSuccess.B", 5.0, 15, key("carol"), call("ConsoleLogin", "signin.amazonaws.com", "203.0.113.66", agent="Mozilla/5.0"), {}),
    ("Discovery:S3/MaliciousIPCaller", 8.0, 18, bucket("example-orders"), call("ListBuckets", "s3.amazonaws.com", "203.0.113.66"), {}),
    ("Exfiltration:S3/AnomalousBehavior", 8.0, 22, bucket("example-orders"), call("GetObject", "s3.amazonaws.com", "203.0.113.66"), {
        "count": 40, "additionalInfo": {"value": json.dumps({"unusualBehavior": {"unusualUserAgent": "aws-cli/2.24"}}), "type": "default"}}),
    ("Policy:S3/BucketAnonymousAccessGranted", 8.0, 24, bucket("example-site", "PUBLIC"), call("PutBucketPolicy", "s3.amazonaws.com", "198.51.100.77"), {}),
    ("Execution:Kubernetes/ExecInKubeSystemPod", 5.0, 26, kubernetes("carol"), kubernetes_call(
        "create", "/api/v1/namespaces/kube-system/pods/coredns-0/exec", "203.0.113.66", 101,
        resource="pods", subresource="exec", namespace="kube-system", resourceName="coredns-0"), {}),
    ("CredentialAccess:RDS/AnomalousBehavior.SuccessfulLogin", 9.0, 28, DATABASE, {"actionType": "RDS_LOGIN_ATTEMPT", "rdsLoginAttemptAction": {
        "remoteIpDetails": remote("203.0.113.66"), "loginAttributes": [{"user": "app", "application": "psql", "failedLoginAttempts": 31, "successfulLoginAttempts": 1}]}}, {"featureName": "RdsProtection"}),
    ("Execution:EC2/MaliciousFile", 8.0, 39, INSTANCE, {}, {"featureName": "EbsVolumeScan", "ebsVolumeScanDetails": volume_scan("Trojan.Linux.Example", "/dev/shm/.x/miner")}),
    ("AttackSequence:S3/CompromisedData", 9.0, 50, {"resourceType": "AttackSequence"}, {}, {"featureName": "Correlation", "detection": {"sequence": SEQUENCE}}),
]

BARE = [
    ("Recon:IAMUser/MaliciousIPCaller", 5.0, 16, key("carol"), call("ListRoles", "iam.amazonaws.com", "203.0.113.66"), {"count": 3}),
    ("Recon:EC2/Portscan", 5.0, 20, INSTANCE, connection("OUTBOUND", "198.51.100.90", 50211, 3389), {"count": 900}),
    ("CredentialAccess:IAMUser/AnomalousBehavior", 5.0, 21, key("dave", "AssumedRole"), call("GetSecretValue", "secretsmanager.amazonaws.com", "2001:db8::66", "AccessDenied"), {}),
    ("Stealth:IAMUser/CloudTrailLoggingDisabled", 2.0, 23, key("carol"), call("StopLogging", "cloudtrail.amazonaws.com", "203.0.113.66"), {}),
    ("Discovery:Kubernetes/SuccessfulAnonymousAccess", 5.0, 25, kubernetes("system:anonymous"), kubernetes_call("list", "/api/v1/secrets", "192.0.2.44", resource="secrets"), {}),
    ("PrivilegeEscalation:Kubernetes/PrivilegedContainer", 5.0, 27, kubernetes("carol", {
        "name": "helper", "type": "pods", "uid": "pod-0a1b2c3d", "namespace": "default", "hostNetwork": True,
        "containers": [{"name": "helper", "image": "registry.example.com/helper:1", "imagePrefix": "registry.example.com", "securityContext": {"privileged": True}}],
    }), kubernetes_call("create", "/api/v1/namespaces/default/pods", "203.0.113.66", 201, resource="pods", namespace="default"), {}),
    ("CryptoCurrency:Runtime/BitcoinTool.B", 8.0, 31, INSTANCE, connection("OUTBOUND", "203.0.113.99", 51010, 8333), {
        "featureName": "RuntimeMonitoring", "runtimeDetails": {"process": process("miner", "/dev/shm/.x/miner", 4711)}}),
    ("PrivilegeEscalation:Runtime/ContainerMountsHostDirectory", 5.0, 33, {
        "resourceType": "Container", "containerDetails": {"id": "container-0a1b2c3d", "name": "helper", "containerRuntime": "containerd", "image": "registry.example.com/helper:1"},
    }, {}, {"featureName": "RuntimeMonitoring", "runtimeDetails": {"process": process("sh", "/bin/sh", 4712), "context": {"mountSource": "/", "mountTarget": "/host", "releaseAgentPath": "/dev/shm/cmd"}}}),
    ("Execution:Runtime/ReverseShell", 8.0, 34, {
        "resourceType": "ECSCluster", "ecsClusterDetails": {"name": "jobs", "arn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/jobs", "status": "ACTIVE", "taskDetails": {"arn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/jobs/0a1b2c3d", "version": "3", "createdAt": 1741075200.0}},
    }, connection("OUTBOUND", "203.0.113.66", 51011, 4444), {"featureName": "RuntimeMonitoring", "runtimeDetails": {"process": process("bash", "/bin/bash", 4713)}}),
    ("Object:S3/MaliciousFile", 8.0, 41, {
        "resourceType": "S3Object", "s3BucketDetails": [{"arn": "arn:aws:s3:::example-orders", "name": "example-orders", "type": "Destination", "s3ObjectDetails": [
            {"objectArn": "arn:aws:s3:::example-orders/inbox/invoice.zip", "key": "inbox/invoice.zip", "eTag": "0a1b2c3d", "hash": "cd" * 32, "versionId": "v1"}]}],
    }, {}, {"featureName": "MalwareProtectionForS3", "malwareScanDetails": {"threats": [
        {"name": "Trojan.Win32.Example", "source": "Amazon", "count": 1, "itemPaths": [{"nestedItemPath": "invoice.zip/invoice.exe", "hash": "ef" * 32}]}]}}),
    ("UnauthorizedAccess:Lambda/TorClient", 8.0, 43, {
        "resourceType": "Lambda", "lambdaDetails": {"functionName": "thumbnails", "functionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:thumbnails", "functionVersion": "7", "lastModifiedAt": 1740000000.0},
    }, connection("OUTBOUND", "192.0.2.9", 40001, 9001), {"featureName": "LambdaNetworkLogs"}),
    ("Policy:IAMUser/RootCredentialUsage", 2.0, 45, key("root", "Root"), call("DescribeInstances", "ec2.amazonaws.com", "198.51.100.77"), {"archived": True, "count": 6}),
]


def finding(number, kind, severity, minute, resource, action, more):
    uid = f"f{number:031d}"
    service = {
        "serviceName": "guardduty", "detectorId": DETECTOR, "action": action, "resourceRole": "TARGET", "count": 1, "archived": False,
        "eventFirstSeen": at(minute), "eventLastSeen": at(minute + 2), "additionalInfo": {"value": "{}", "type": "default"},
        **more,
    }
    return {
        "schemaVersion": "2.0", "accountId": ACCOUNT, "region": REGION, "partition": "aws", "id": uid,
        "arn": f"arn:aws:guardduty:{REGION}:{ACCOUNT}:detector/{DETECTOR}/finding/{uid}", "type": kind, "resource": resource,
        "service": service, "severity": severity, "createdAt": at(minute + 5), "updatedAt": at(minute + 5 if service["count"] == 1 else minute + 20),
        "title": f"{kind.split(':')[1].split('/')[1]} in account {ACCOUNT}.",
        "description": f"GuardDuty saw {kind} in {REGION}.",
    }


def enveloped(number, detail_type, source, detail, minute, account=ACCOUNT):
    return {
        "version": "0", "id": f"e0000000-0000-4000-8000-{number:012d}", "detail-type": detail_type, "source": source,
        "account": account, "time": at(minute).replace(".000Z", "Z"), "region": REGION, "resources": [], "detail": detail,
    }


# ---- CloudTrail and flow logs of the same morning


def trail(number, minute, name, source, user="carol", **more):
    return {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "principalId": f"AIDA{user.upper()}EXAMPLE", "arn": f"arn:aws:iam::{ACCOUNT}:user/{user}",
                         "accountId": ACCOUNT, "accessKeyId": f"AKIA{user.upper()}EXAMPLE", "userName": user},
        "eventTime": at(minute).replace(".000Z", "Z"), "eventSource": f"{source}.amazonaws.com", "eventName": name, "awsRegion": REGION,
        "sourceIPAddress": "203.0.113.66", "userAgent": "aws-cli/2.24", "requestParameters": None, "responseElements": None,
        "requestID": f"request-{number:04d}", "eventID": f"c0000000-0000-4000-8000-{number:012d}", "readOnly": False,
        "eventType": "AwsApiCall", "managementEvent": True, "recipientAccountId": ACCOUNT, "eventCategory": "Management", **more,
    }


TRAIL = [
    trail(1, 14, "ConsoleLogin", "signin", eventType="AwsConsoleSignIn", userAgent="Mozilla/5.0", responseElements={"ConsoleLogin": "Success"},
          additionalEventData={"LoginTo": "https://console.aws.amazon.com/console/home", "MobileVersion": "No", "MFAUsed": "No"}),
    trail(2, 16, "ListRoles", "iam", readOnly=True),
    trail(3, 17, "CreateUser", "iam", requestParameters={"userName": "backup"},
          responseElements={"user": {"path": "/", "userName": "backup", "userId": "AIDABACKUPEXAMPLE", "arn": f"arn:aws:iam::{ACCOUNT}:user/backup"}}),
    trail(4, 17, "AddUserToGroup", "iam", requestParameters={"userName": "backup", "groupName": "admins"}),
    trail(5, 23, "StopLogging", "cloudtrail", requestParameters={"name": f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/main"}),
    trail(6, 24, "PutBucketPolicy", "s3", errorCode="AccessDenied", errorMessage="Access Denied", requestParameters={"bucketName": "example-site"},
          resources=[{"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::example-site"}]),
]

FLOWS = [
    (2, "203.0.113.5 10.0.1.20 40112 22 6 21 4249", "ACCEPT OK"),
    (3, "203.0.113.5 10.0.1.20 40113 3389 6 1 40", "REJECT OK"),
    (12, "10.0.1.20 203.0.113.66 49152 443 6 120 88120", "ACCEPT OK"),
    (19, "2001:db8:1::20 2001:db8::66 50000 443 6 9 3100", "ACCEPT OK"),
    (30, "- - - - - - -", "- NODATA"),
]


# ---- records


def subscription(group, stream, first, events):
    """The document of a CloudWatch Logs subscription; `events` are pairs of minute and text, or a thing to write as JSON."""
    log = []
    for number, (minute, what) in enumerate(events, first):
        text = what if isinstance(what, str) else json.dumps(what, separators=(",", ":"))
        log.append({"id": f"388{number:053d}", "timestamp": ms(minute), "message": text})
    return {
        "messageType": "DATA_MESSAGE", "owner": ACCOUNT, "logGroup": group, "logStream": stream,
        "subscriptionFilters": ["to-siemline"], "logEvents": log,
    }


def gzip(document):
    """One gzip member without a time in it, so that the same document gives the same bytes (RFC 1952, section 2.3)."""
    data = json.dumps(document, separators=(",", ":")).encode()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    return b"\x1f\x8b\x08\x00" + bytes(4) + b"\x02\xff" + body + struct.pack("<II", zlib.crc32(data), len(data))


def records():
    findings = [finding(number, *row) for number, row in enumerate(ENVELOPED + BARE, 1)]
    first, second = findings[: len(ENVELOPED)], findings[len(ENVELOPED) :]
    minutes = [row[2] + 6 for row in ENVELOPED + BARE]
    in_envelopes = [
        (minute, enveloped(number, "GuardDuty Finding", "aws.guardduty", found, minute))
        for number, (minute, found) in enumerate(zip(minutes, first), 1)
    ]
    half = len(in_envelopes) // 2
    yield "01-findings", gzip(subscription("/aws/events/guardduty", "all", 1, in_envelopes[:half]))
    yield "02-findings", gzip(subscription("/aws/events/guardduty", "all", 1 + half, in_envelopes[half:]))
    # What CloudWatch Logs sends to see whether the stream can be reached.
    yield "03-control", gzip({
        "messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "", "subscriptionFilters": [],
        "logEvents": [{"id": "", "timestamp": ms(0), "message": "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}],
    })
    yield "04-findings-bare", gzip(subscription("guardduty", "export", 101, zip(minutes[len(ENVELOPED) :], second)))
    yield "05-cloudtrail", gzip(subscription("cloudtrail", f"{ACCOUNT}_CloudTrail_{REGION}", 201, [(14 + n, record) for n, record in enumerate(TRAIL)]))
    lines = []
    for minute, flow, end in FLOWS:
        start = ms(minute) // 1000
        lines.append((minute, f"2 {ACCOUNT} eni-0a1b2c3d4e5f60718 {flow} {start} {start + 60} {end}"))
    yield "06-vpc-flow", gzip(subscription("vpc-flow", "eni-0a1b2c3d4e5f60718-all", 301, lines))
    # An event of somebody's own application, which no mapping knows.
    order = {"order": {"id": "o-1001", "total": 59.9, "items": ["book", "lamp"]}, "by": "eve@example.com"}
    yield "07-unknown", gzip(subscription("/aws/events/shop", "all", 401, [(46, enveloped(99, "Order Placed", "com.example.shop", order, 46, OTHER))]))
    # A record that was cut on its way: it goes to the dead letters, and costs its neighbours nothing.
    whole = gzip(subscription("guardduty", "export", 501, [(47, finding(99, *BARE[0]))]))
    yield "08-broken", whole[: len(whole) // 2]


def main():
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "records"
    directory.mkdir(parents=True, exist_ok=True)
    for name, record in records():
        (directory / f"{name}.gz").write_bytes(record)


if __name__ == "__main__":
    main()
