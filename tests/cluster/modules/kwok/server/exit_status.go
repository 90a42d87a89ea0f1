// Package server is compiled into kwok's package of the same name: `cluster build` copies this file there.
//
// As it is, kwok hides the exit code of what `kubectl exec` runs, and every failure is 1.
package server

import (
	"errors"
	osexec "os/exec"

	utilexec "k8s.io/utils/exec"
)

// exitStatus gives the error of a command that ended with a code the type that the kubelet's
// protocol looks for. Other errors pass.
func exitStatus(err error) error {
	var ended *osexec.ExitError
	if errors.As(err, &ended) && ended.Exited() {
		return utilexec.CodeExitError{Err: err, Code: ended.ExitCode()}
	}
	return err
}
