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
	local namespace node
	for namespace in $namespaces; do
		ip netns pids "$namespace" 2>/dev/null
	done
	node=$(<"$run/node")
	# Should the record ever name this machine's own mount namespace, everything on it would count as the cluster's.
	if [ -n "$node" ] && [ "$node" != "$(readlink /proc/self/ns/mnt)" ]; then
		# A link such as mnt:[4026532]; brackets have a meaning in a pattern.
		find /proc -mindepth 3 -maxdepth 3 -path '/proc/[0-9]*/ns/mnt' -lname "${node//[\[\]]/?}" 2>/dev/null | cut -d/ -f3
	fi
	cgroups | while read -r cgroup; do
		find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null
	done
}

# containerd keeps a folder for each container, and runc a cgroup of that name in each hierarchy, all under one parent that
# every cluster on the machine shares. Both may go while we look, so what was seen once is remembered.
cgroups() {
	local containers=$run/containerd/state/io.containerd.runtime.v2.task/k8s.io
	{ cat "$run/containers"; ls "$containers"; } 2>/dev/null | sort -u >"$run/containers.new"
	mv "$run/containers.new" "$run/containers"
	local container
	while read -r container; do
		find /sys/fs/cgroup -maxdepth 3 -type d -path "*/k8s.io/$container"
	done <"$run/containers"
}

kill_members() {
	local tries pids pid state
	# Several rounds: a shim may start one more process while it is being ended.
	for tries in $(seq 100); do
		pids=$(members | sort -un)
		local alive=()
		for pid in $pids; do
			read -r state _ < <(stat_of "$pid") || continue
			[ "$state" = Z ] || [ "$pid" -le 1 ] || alive+=("$pid")
		done
		[ ${#alive[@]} -eq 0 ] && return 0
		kill -KILL "${alive[@]}" 2>/dev/null
		sleep 0.05
	done
	echo "processes still there: ${alive[*]}" >&2
	return 1
}

# The kernel frees a cgroup a moment after its last process. The parent goes with the last cluster's.
remove_cgroups() {
	local tries cgroup left
	for tries in $(seq 100); do
		left=$(cgroups)
		[ -z "$left" ] && break
		for cgroup in $left; do
			find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
		done
		sleep 0.02
	done
	find /sys/fs/cgroup -maxdepth 2 -type d -name k8s.io -exec rmdir {} + 2>/dev/null
	[ -z "$left" ] && return 0
	echo "cgroups still there: $left" >&2
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
