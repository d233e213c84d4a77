package worker;

import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.leases.LeaseManagementConfig;

/** What is particular to KCL 2: nothing. Its workers take leases from each other. */
final class Edition {
    private Edition() {}

    static void tune(CoordinatorConfig coordination, LeaseManagementConfig leases, String mode) {
        if (!mode.equals("2x")) {
            throw new IllegalArgumentException("KCL 2 has no mode `" + mode + "`");
        }
    }
}
