package worker;

import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.coordinator.CoordinatorConfig.ClientVersionConfig;
import software.amazon.kinesis.leases.LeaseManagementConfig;

/** What is particular to KCL 3: whether a leader assigns the leases, or the workers take them from each other as in KCL 2. */
final class Edition {
    private Edition() {}

    static void tune(CoordinatorConfig coordination, LeaseManagementConfig leases, String mode) {
        switch (mode) {
            case "compatible":
                coordination.clientVersionConfig(ClientVersionConfig.CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X);
                break;
            case "3x":
                coordination.clientVersionConfig(ClientVersionConfig.CLIENT_VERSION_CONFIG_3X);
                break;
            default:
                throw new IllegalArgumentException("KCL 3 has no mode `" + mode + "`");
        }
        // The lock of a leader lasts for 2 min by default, and only after that may somebody else have the table.
        leases.dynamoDbLockBasedLeaderLeaseDurationInMillis(10_000)
                .dynamoDbLockBasedLeaderHeartbeatPeriodInMillis(2_000)
                .leaseAssignmentIntervalMillis(2_000L);
        // Statistics of the machine would assign by its load, of which the test's neighbours make the most.
        leases.workerUtilizationAwareAssignmentConfig()
                .disableWorkerMetrics(true)
                .workerMetricsReporterFreqInMillis(2_000);
    }
}
