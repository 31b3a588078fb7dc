package config

// sortedKeys returns the keys of an object, in order.
func sortedKeys(object map[string]any) []string {
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	return sorted(keys)
}

// sorted puts texts in order, in their place, by heapsort: there may be a hundred thousand. What package slices has for that would be a
// hundredth of the plugin's code.
func sorted(texts []string) []string {
	for i := len(texts)/2 - 1; i >= 0; i-- {
		sink(texts, i)
	}
	for n := len(texts) - 1; n > 0; n-- {
		texts[0], texts[n] = texts[n], texts[0]
		sink(texts[:n], 0)
	}
	return texts
}

// sink moves the text at i down a heap, in which none is before those at 2i+1 and 2i+2, until that holds again.
func sink(heap []string, i int) {
	for {
		last := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(heap); child++ {
			if heap[child] > heap[last] {
				last = child
			}
		}
		if last == i {
			return
		}
		heap[i], heap[last] = heap[last], heap[i]
		i = last
	}
}
