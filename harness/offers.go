package harness

import "github.com/envharness/envharness/internal/address"

// offers are the entries that executables get and COMMAND does not: CONTAINER_HOST and DOCKERD, when they
// are unset.
func (s *startup) offers(env *environ) []string {
	var list []string
	for _, offer := range s.offered() {
		if !env.has(offer.name) && offer.value != "" {
			list = append(list, offer.name+"="+offer.value)
		}
	}
	return list
}

type offer struct{ name, value string }

// findOffers asks the kernel; a start-up without executables never does.
func findOffers() []offer {
	host, dockerd := address.Offers()
	return []offer{{"CONTAINER_HOST", host}, {"DOCKERD", dockerd}}
}
