package rollout

// Waves are the sizes of a cluster's waves: one canary, then the rest; from ten members on a quarter in between.
func Waves(size int) []int {
	switch {
	case size <= 0:
		return nil
	case size == 1:
		return []int{1}
	case size < 10:
		return []int{1, size - 1}
	}
	quarter := (size + 3) / 4
	return []int{1, quarter, size - 1 - quarter}
}
