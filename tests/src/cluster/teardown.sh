#!/usr/bin/env bash
# Ends a test cluster and everything of it, from its run folder alone: processes, containers, mounts, network namespaces,
# cgroups, files. It is the only way in which a cluster ends, so that a drop, a panic, a kill -9 of the owner and
# `testcluster down` do the same.
#
#   teardown.sh RUN NAME           ends it now
#   teardown.sh RUN NAME --watch   ends it when standard input closes, that is when its owner is gone; on a line `keep`,
#                                  leaves it up
#
# What it could not end is said on stderr, with exit status 1.
set -u

run=$1
name=$2
# Of a level without a node neither namespace nor cgroup is there.
namespaces="lapdev-$name lapdev-$name-out"

# State and start time of a process; fails when there is none. The name, in parentheses, may hold anything.
stat_of() {
	local line fields
	{ line=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
	read -ra fields <<<"${line##*) }"
	echo "${fields[0]} ${fields[19]}"
}

# A process of the list still runs: same id, same start time, not only waiting to be collected.
runs() {
	local state start
	read -r state start < <(stat_of "$1") || return 1
	[ "$start" = "$2" ] && [ "$state" != Z ]
}

listed() {
	local pid start component
	while read -r pid start component; do
		if runs "$pid" "$start"; then echo "$pid"; fi
	done <"$run/processes"
}

# Ids of all processes that belong to the cluster: listed ones, those in its network namespaces (what a person started
# there included), in the node's mount namespace (containerd's shims), and in its cgroups (containers).
members() {
	[ -f "$run/processes" ] && listed
	[ -f "$run/node" ] || return 0
	local namespace node proc
	for namespace in $namespaces; do
		ip netns pids "$namespace" 2>/dev/null
	done
	if node=$(<"$run/node") && [ -n "$node" ]; then
		for proc in /proc/[0-9]*; do
			if [ "$(readlink "$proc/ns/mnt" 2>/dev/null)" = "$node" ]; then echo "${proc#/proc/}"; fi
		done
	fi
	find /sys/fs/cgroup -path "*/lapdev-$name*" -name cgroup.procs -exec cat {} + 2>/dev/null
}

kill_members() {
	local tries pids pid state
	# Several rounds: a shim may start one more process while it is being ended.
	for tries in $(seq 100); do
		pids=$(members | sort -un)
		local alive=()
		for pid in $pids; do
			read -r state _ < <(stat_of "$pid") || continue
			[ "$state" = Z ] || alive+=("$pid")
		done
		[ ${#alive[@]} -eq 0 ] && return 0
		kill -KILL "${alive[@]}" 2>/dev/null
		sleep 0.05
	done
	echo "processes still there: ${alive[*]}" >&2
	return 1
}

# The kernel frees a cgroup a moment after its last process.
remove_cgroups() {
	local tries
	for tries in $(seq 100); do
		find /sys/fs/cgroup -depth -type d -path "*/lapdev-$name*" -exec rmdir {} + 2>/dev/null
		[ -z "$(find /sys/fs/cgroup -type d -path "*/lapdev-$name*" -print -quit 2>/dev/null)" ] && return 0
		sleep 0.05
	done
	echo "cgroups still there: $(find /sys/fs/cgroup -type d -path "*/lapdev-$name*" | tr '\n' ' ')" >&2
	return 1
}

end_node() {
	local failed=0 namespace
	remove_cgroups || failed=1
	for namespace in $namespaces; do
		[ -e "/run/netns/$namespace" ] || continue
		ip netns delete "$namespace" || failed=1
	done
	# The node's mounts were in a mount namespace of its own, and went with its last process.
	if grep -q " $run/" /proc/self/mountinfo; then
		echo "mounts still there below $run" >&2
		failed=1
	fi
	return $failed
}

main() {
	trap '' INT TERM HUP
	if [ "${3:-}" = --watch ]; then
		local word
		if read -r word && [ "$word" = keep ]; then return 0; fi
	fi
	local failed=0
	kill_members || failed=1
	if [ -f "$run/node" ]; then
		end_node || failed=1
	fi
	[ $failed -eq 0 ] && rm -rf --one-file-system "$run"
	return $failed
}

# In one line, so that bash has read the whole script before it deletes it.
main "$@"; exit $?
